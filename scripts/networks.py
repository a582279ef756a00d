# SPDX-License-Identifier: MIT
"""The CIFAR networks of the published experiments, and a PyTorch network as float ONNX; export_model.py and
train_cifar.py use it.

The ONNX file is written from the traced network itself, node by node, so that Conv and BatchNormalization stay apart
whatever a version of PyTorch's own exporter would merge: input "input" [N, C, H, W], output "logits", opset 13, and a
node for each module, named as the module is. Needs PyTorch and the Python package onnx.
"""
import operator

import onnx
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from training import BasicBlock


class CifarResNet(nn.Module):
    """[N, 3, 32, 32] to [N, classes]: a 3x3 stem, no pool behind it, a stage of `blocks` basic blocks for each width."""

    def __init__(self, blocks: int, widths: tuple, classes: int):
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        stages, inputs = [], widths[0]
        for width in widths:
            first = BasicBlock(inputs, width, 1 if width == widths[0] else 2)
            stages.append(nn.Sequential(first, *(BasicBlock(width, width, 1) for _ in range(blocks - 1))))
            inputs = width
        for number, stage in enumerate(stages, 1):
            self.add_module(f"layer{number}", stage)
        self.stages = len(stages)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        for number in range(1, self.stages + 1):
            x = getattr(self, f"layer{number}")(x)
        return self.fc(torch.flatten(self.avgpool(x), 1))


class CifarVgg16(nn.Module):
    """[N, 3, 32, 32] to [N, classes]: VGG16's features with BatchNorm, which leave 1x1x512, and a hidden layer of 512."""

    def __init__(self, classes: int):
        super().__init__()
        layers, inputs = [], 3
        for width, convolutions in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
            for _ in range(convolutions):
                layers += [nn.Conv2d(inputs, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
                inputs = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Dropout(), nn.Linear(512, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(torch.flatten(self.features(x), 1))


CIFAR_NETWORKS = {f"resnet{6 * n + 2}": (lambda classes, n=n: CifarResNet(n, (16, 32, 64), classes)) for n in (3, 5, 7, 9)}
CIFAR_NETWORKS["resnet18"] = lambda classes: CifarResNet(2, (64, 128, 256, 512), classes)
CIFAR_NETWORKS["vgg16_bn"] = CifarVgg16


def make_cifar_network(name: str, classes: int) -> nn.Module:
    """One of CIFAR_NETWORKS, freshly initialised from torch's generator."""
    model = CIFAR_NETWORKS[name](classes)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return model


class GraphWriter:
    """Writes one traced network; `emit` handles one node."""

    def __init__(self, traced: fx.GraphModule):
        self.modules = dict(traced.named_modules())
        self.values = {}  # traced node -> name of its tensor
        self.nodes, self.initializers = [], []

    def write(self, op: str, name: str, inputs: list, **attributes) -> str:
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def constant(self, name: str, tensor: torch.Tensor) -> str:
        self.initializers.append(numpy_helper.from_array(tensor.detach().float().cpu().contiguous().numpy(), name))
        return name

    def emit(self, node: fx.Node) -> None:
        name, target = str(node.target) if node.op == "call_module" else node.name, node.target
        inputs = [self.values[argument] for argument in node.args if isinstance(argument, fx.Node)]
        if node.op == "call_module":
            self.values[node] = self.module(name, self.modules[target], inputs[0], node)
        elif target in (operator.add, operator.iadd, torch.add) and len(inputs) == 2:
            self.values[node] = self.write("Add", name, inputs)
        elif target in (F.relu, torch.relu):
            self.values[node] = self.write("Relu", name, inputs)
        elif target in (torch.flatten, "flatten") and node.args[1:] == (1,):
            self.values[node] = self.write("Flatten", name, inputs, axis=1)
        else:
            raise ValueError(f"node {node.name}: {node.op} of {target} has no ONNX form here")

    def module(self, name: str, module: nn.Module, x: str, node: fx.Node) -> str:
        if isinstance(module, nn.Conv2d) and not isinstance(module.padding, str):
            inputs = [x, self.constant(f"{name}.weight", module.weight)]
            if module.bias is not None:
                inputs.append(self.constant(f"{name}.bias", module.bias))
            return self.write("Conv", name, inputs, kernel_shape=list(module.kernel_size), strides=list(module.stride),
                              pads=list(module.padding) * 2, dilations=list(module.dilation), group=module.groups)
        if isinstance(module, nn.BatchNorm2d):
            parts = {"weight": module.weight, "bias": module.bias, "running_mean": module.running_mean,
                     "running_var": module.running_var}
            inputs = [x] + [self.constant(f"{name}.{part}", tensor) for part, tensor in parts.items()]
            return self.write("BatchNormalization", name, inputs, epsilon=module.eps)
        if isinstance(module, nn.Linear):
            inputs = [x, self.constant(f"{name}.weight", module.weight), self.constant(f"{name}.bias", module.bias)]
            return self.write("Gemm", name, inputs, transB=1)
        if isinstance(module, nn.ReLU):
            return self.write("Relu", node.name, [x])  # one module may stand in several places
        if isinstance(module, nn.MaxPool2d) and not module.ceil_mode and module.dilation == 1:
            size, stride, pad = ([v, v] if isinstance(v, int) else list(v)
                                 for v in (module.kernel_size, module.stride, module.padding))
            return self.write("MaxPool", name, [x], kernel_shape=size, strides=stride, pads=pad * 2)
        if isinstance(module, nn.AdaptiveAvgPool2d):
            return self.average(name, x, node)
        if isinstance(module, (nn.Dropout, nn.Identity)):
            return x
        raise ValueError(f"module {name}: {type(module).__name__} as it is configured has no ONNX form here")

    def average(self, name: str, x: str, node: fx.Node) -> str:
        before, after = (list(n.meta["tensor_meta"].shape[2:]) for n in (node.args[0], node))
        if before == after:
            return x
        if after == [1, 1]:
            return self.write("GlobalAveragePool", name, [x])
        raise ValueError(f"module {name}: averages {before} to {after}; only a global average has an ONNX form here")


def to_onnx(model: nn.Module, shape: tuple) -> bytes:
    """The float ONNX file of the model in evaluation mode for samples of `shape` (C, H, W); N stays symbolic."""
    model = model.eval().cpu()
    traced = fx.symbolic_trace(model)
    ShapeProp(traced).propagate(torch.zeros(1, *shape))
    writer = GraphWriter(traced)
    for node in traced.graph.nodes:
        if node.op == "placeholder":
            writer.values[node] = "input"
        elif node.op == "output":
            last, classes = writer.values[node.args[0]], node.args[0].meta["tensor_meta"].shape[1]
        else:
            writer.emit(node)
    writer.nodes[-1].output[0] = "logits"
    if writer.nodes[-1].name != last:
        raise ValueError(f"node {last}: is the output, but not the last node")
    graph = helper.make_graph(
        writer.nodes, type(model).__name__, [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", *shape])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", classes])], writer.initializers)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8, producer_name="qnudge")
    onnx.checker.check_model(proto)
    return proto.SerializeToString()
