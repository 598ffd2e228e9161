"""Jacobians as labelled tensors."""

from layouts.conventions import Convention, arrange, convert, read
from layouts.cells import Layout
from layouts.errors import LayoutError
from layouts.identify import identify
from layouts.jacobian import Jacobian
from layouts.plan import Plan
from layouts.products import chain
from layouts.textbooks import TEXTBOOKS
from layouts.transforms import hessian, jacobian
from layouts import chains
