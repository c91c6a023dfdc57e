"""The tutorial's objective in PyTorch (eager mode), as a process in its own virtual environment.

`python torch_peer.py IMAGES.npz KERNELS.npz [DEVICE]` runs one step for each line on standard input and prints the
total loss before the step. IMAGES holds `content` and `style`, (1, height, width, 3) in [0, 1]; KERNELS holds every
layer's kernel (HWIO) as `name/kernel` and its bias as `name/bias`.
"""

import sys
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

LAYERS = [f"block{b}_conv{c}" for b, n in ((1, 2), (2, 2), (3, 4), (4, 4), (5, 2)) for c in range(1, n + 1)]
STYLE = [f"block{b}_conv1" for b in range(1, 6)]
CONTENT = "block5_conv2"
MEANS = (103.939, 116.779, 123.68)


class Network(nn.Module):  # type: ignore[misc]  # torch is in another virtual environment
    """VGG19 up to block5_conv2."""

    def __init__(self, kernels: Mapping[str, np.ndarray]) -> None:
        super().__init__()
        self.kernels = {
            layer: (
                torch.tensor(kernels[f"{layer}/kernel"]).permute(3, 2, 0, 1).contiguous(),
                torch.tensor(kernels[f"{layer}/bias"]),
            )
            for layer in LAYERS
        }
        self.means = torch.tensor(MEANS).view(1, 3, 1, 1)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the activations by layer."""
        activations: dict[str, Tensor] = {}
        features = image.flip(1) * 255.0 - self.means
        for layer in LAYERS:
            if layer.endswith("conv1") and activations:
                features = functional.max_pool2d(features, 2)
            features = activations[layer] = functional.relu(
                functional.conv2d(features, *self.kernels[layer], padding=1)
            )
        return activations


def gram(features: Tensor) -> Tensor:
    """Map (1, channels, height, width) to (channels, channels)."""
    flat = features.flatten(2)[0]
    return flat @ flat.T / flat.shape[1]


def main() -> None:
    """Run one step for each line on standard input."""
    images, kernels = (np.load(path) for path in sys.argv[1:3])
    torch.set_default_device(sys.argv[3] if sys.argv[3:] else "cpu")
    content, style = (torch.tensor(images[name]).permute(0, 3, 1, 2).contiguous() for name in ("content", "style"))
    network = Network(kernels)
    with torch.no_grad():
        targets = {layer: gram(features) for layer, features in network(style).items() if layer in STYLE}
        content_target = network(content)[CONTENT]
    image = content.clone().requires_grad_()
    optimizer = torch.optim.Adam([image], lr=0.02, betas=(0.99, 0.999), eps=1e-1)
    for _ in sys.stdin:
        optimizer.zero_grad()
        activations = network(image)
        loss = 1e-2 / 5 * sum(functional.mse_loss(gram(activations[layer]), targets[layer]) for layer in STYLE)
        loss = loss + 1e4 * functional.mse_loss(activations[CONTENT], content_target)
        variation = (image[:, :, 1:] - image[:, :, :-1]).abs().sum() + (image[..., 1:] - image[..., :-1]).abs().sum()
        loss = loss + 30 * variation
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            image.clamp_(0, 1)
        print(float(loss), flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
