"""The one error that `layouts` raises for a user's mistake."""


class LayoutError(ValueError):
    """A request that does not fit: the object, what was expected, what came, the remedy.

    Example:
        >>> raise LayoutError("vec order", "'rows' or 'columns'", "'diagonal'", "pass vec='rows'")
        Traceback (most recent call last):
        ...
        layouts.errors.LayoutError: vec order: expected 'rows' or 'columns', got 'diagonal'; \
pass vec='rows'
    """

    def __init__(self, what: str, expected: str, received: str, remedy: str):
        """Compose the sentence that every error of the library has."""
        super().__init__(f"{what}: expected {expected}, got {received}; {remedy}")
        self.what, self.expected, self.received, self.remedy = what, expected, received, remedy

    def __reduce__(self):
        """Pickle by the four parts, so that the error crosses process boundaries."""
        return (type(self), (self.what, self.expected, self.received, self.remedy))
