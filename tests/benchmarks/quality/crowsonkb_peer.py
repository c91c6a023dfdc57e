"""crowsonkb/style-transfer-pytorch with its own code and defaults, as a process in a virtual environment with PyTorch.

`python crowsonkb_peer.py CHECKOUT KERNELS.npz SIZE FACTOR CONTENT.png STYLE.png RESULT.png` writes the result, and
prints the processor time in seconds. FACTOR scales its numbers of iterations. KERNELS is what torch_peer.py describes.

Two things replace torchvision: what the program uses of its transforms, and VGG19's weights, which are Simonyan and
Zisserman's instead of those that torchvision trained. The program's losses depend on the size of activations. So pixels
are divided by 58 levels, about torchvision's standard deviation, and all biases as well: each layer without its last
bias is homogeneous, so all activations are 1/58 of theirs, which is about the size of torchvision's.
"""

import sys
import time
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

LAYERS = [f"block{b}_conv{c}" for b, n in ((1, 2), (2, 2), (3, 4), (4, 4), (5, 1)) for c in range(1, n + 1)]
MEANS = torch.tensor((123.68, 116.779, 103.939)).view(3, 1, 1)  # RGB
DEVIATION = 58  # levels of 0 to 255


def vgg19(kernels: str) -> SimpleNamespace:
    """Return torchvision's VGG19 up to the deepest layer that the program uses, with these weights."""
    arrays, layers = np.load(kernels), list[nn.Module]()
    for layer in LAYERS:
        kernel = torch.tensor(arrays[f"{layer}/kernel"]).permute(3, 2, 0, 1)
        if layer.endswith("conv1") and layers:
            layers.append(nn.MaxPool2d(2))
        convolution = nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, padding=1)
        convolution.weight.data = (kernel if layers else kernel.flip(1)).contiguous()  # the first one is for BGR
        convolution.bias.data = torch.tensor(arrays[f"{layer}/bias"]) / DEVIATION
        layers += [convolution, nn.ReLU(inplace=True)]
    return SimpleNamespace(features=nn.Sequential(*layers))


def normalize(mean: list[float], std: list[float]) -> Callable[[Tensor], Tensor]:  # noqa: ARG001 - torchvision's names
    """Replace torchvision's normalization by that of these weights, divided by DEVIATION."""
    return lambda image: (255 * image - MEANS) / DEVIATION


def to_tensor(image: Image.Image) -> Tensor:
    """Return (3, height, width) in [0, 1]."""
    return torch.tensor(np.asarray(image)).permute(2, 0, 1).contiguous() / 255


def to_image(tensor: Tensor) -> Image.Image:
    """Return the image of (3, height, width) in [0, 1]."""
    return Image.fromarray((255 * tensor).byte().permute(1, 2, 0).numpy())


def main() -> None:
    """Render one result."""
    checkout, kernels, size, factor, content, style, result = sys.argv[1:]
    transforms = SimpleNamespace(
        Normalize=normalize, functional=SimpleNamespace(to_tensor=to_tensor, to_pil_image=to_image)
    )
    weights = SimpleNamespace(IMAGENET1K_V1=None)
    models = SimpleNamespace(vgg19=lambda weights: vgg19(kernels), VGG19_Weights=weights)  # noqa: ARG005 - its name
    replaced = {
        "torchvision": SimpleNamespace(models=models, transforms=transforms),
        "torchvision.transforms": transforms,
        "style_transfer.web_interface": SimpleNamespace(WebInterface=None),  # needs a web server, and is not used
    }
    sys.modules.update(replaced)  # type: ignore[arg-type]  # they are no modules
    sys.path.insert(0, checkout)
    from style_transfer import StyleTransfer  # type: ignore[import-not-found]  # noqa: PLC0415 - after the replacement

    defaults = StyleTransfer.stylize.__kwdefaults__
    counts = {name: round(float(factor) * defaults[name]) for name in ("iterations", "initial_iterations")}
    torch.manual_seed(0)  # as its command
    torch.set_num_threads(1)  # threads that wait would count as processor time
    started, output = time.process_time(), sys.stdout
    sys.stdout = sys.stderr  # the program prints
    images = [Image.open(path).convert("RGB") for path in (content, style)]
    StyleTransfer().stylize(images[0], images[1:], end_scale=int(size), **counts).save(result)
    print(round(time.process_time() - started, 1), file=output)


if __name__ == "__main__":
    main()
