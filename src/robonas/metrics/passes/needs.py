"""The quantities that metrics read from the passes over a network, and the reasons why one has no value."""

from __future__ import annotations

import enum


class Need(enum.Enum):
    """A quantity that metrics read; it is made at most once a network, and only if some metric asks for it."""

    PARAMETERS = "parameters only"
    ACTIVATIONS = "a forward pass of the batch"
    CODES = "the signs of what rectifiers get in that forward pass"
    PREACTIVATIONS = "what rectifiers get in that forward pass"
    LAYER_CODES = "the signs of what layers return in that forward pass"
    MAPS = "what convolutions return for the first sample in that forward pass"
    OPERATIONS = "the operations of a forward pass, counted"
    GRADIENTS = "a backward pass of the loss"
    SALIENCIES = "gradients of the loss with respect to the outputs of layers"
    HESSIAN = "a second backward pass, through the gradients"
    CURVATURE = "a second backward pass, for the sum of weight × Hessian-gradient product alone"
    NORMED_CURVATURE = "the same, with a closed form for convolutions that batch norms follow"
    JACOBIAN = "gradients of the logits with respect to the inputs"
    OWN_PASSES = "its own input or parameters, on a private copy of the network"


INPUT_IGNORED = "the logits do not depend on the input, or by less than their rounding shows"
CUT = "no gradient leads back to a weight: the network cuts it off, as torch.no_grad() and detach() do"
CUT_INPUT = "no gradient leads back to the input: the network cuts it off, as torch.no_grad() and detach() do"
FLAT = "the gradient of the loss is zero in every weight"
HIDDEN = (
    "a layer computes inside a torch.autograd.Function, where the gradient of its output cannot be seen; write it as "
    "plain calls"
)
"""The reason why a metric that reads their gradients has no value then."""
