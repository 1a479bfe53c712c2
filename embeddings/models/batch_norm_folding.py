"""Fold batch normalization into the convolutions before it."""

import itertools
from typing import Any

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norms(model: Any) -> Any:
    """The same EfficientNet in evaluation mode with its norms folded away, changed in place.

    In evaluation mode a norm multiplies and adds per channel, which the convolution before it
    can do at no cost; a pass over memory each is saved, about a third of the time. The vectors
    move by rounding only (a test holds that to a cosine of 0.99999).

    Only for architectures whose modules are listed in the order in which they run, each norm
    right behind its convolution; EfficientNet's are. timm's norms carry their activation, which
    takes their place.
    """
    for module in list(model.modules()):
        children = list(module.named_children())
        for (name, first), (norm_name, norm) in itertools.pairwise(children):
            if isinstance(first, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, name, fuse_conv_bn_eval(first, norm))
                setattr(module, norm_name, getattr(norm, "act", nn.Identity()))
    return model
