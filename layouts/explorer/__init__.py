"""The explorer: a page where a Jacobian can be seen, turned and touched.

`schema` says what the page asks and what it is answered, `payload` answers.
"""
