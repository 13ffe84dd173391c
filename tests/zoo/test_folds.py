from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from maskrcnn.zoo import folds
from maskrcnn.zoo.folds import EPS, STEM, Own

GENERATOR = torch.Generator().manual_seed(0)


def own(**tensors: Tensor) -> Own:
    made = Own(Path("file"), (), {})
    made.tensors.update({name.replace("__", "."): tensor.clone() for name, tensor in tensors.items()})
    return made


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=GENERATOR)


def norm(x: Tensor, values: dict[str, Tensor], eps: float) -> Tensor:
    """Normalise (B, C, H, W) as frozen batch normalisation is written."""
    gamma, beta, mean, var = (
        values[leaf].double()[:, None, None] for leaf in ("weight", "bias", "running_mean", "running_var")
    )
    return (x.double() - mean) / (var + eps).sqrt() * gamma + beta


def statistics(channels: int, smallest: float = 0.5) -> dict[str, Tensor]:
    return {
        "weight": draw(channels),
        "bias": draw(channels),
        "running_mean": draw(channels),
        "running_var": draw(channels).abs() + smallest,
    }


def test_a_stem_for_bgr_sees_the_same_in_rgb() -> None:
    kernel, picture = draw(4, 3, 7, 7), draw(1, 3, 9, 9)
    model = own(**{STEM: kernel})
    folds.swap_colours(model)
    assert torch.allclose(F.conv2d(picture.flip(1), kernel), F.conv2d(picture, model.tensors[STEM]), atol=1e-4)


def test_a_stem_of_other_bands_stays() -> None:
    kernel = draw(4, 5, 7, 7)
    model = own(**{STEM: kernel})
    folds.swap_colours(model)
    assert torch.equal(model.tensors[STEM], kernel)


def test_a_bias_before_a_frozen_norm_goes_into_its_mean() -> None:
    x, bias, values = draw(2, 3, 4, 4), draw(3), statistics(3)
    model = own(a__conv__bias=bias, **{f"a__norm__{leaf}": tensor for leaf, tensor in values.items()})
    folds.biases_into_means(model)
    assert "a.conv.bias" not in model.tensors
    assert model.heirs("a.conv.bias") == ("a.norm.running_mean",)
    folded = {leaf: model.tensors[f"a.norm.{leaf}"] for leaf in values}
    assert torch.allclose(norm(x + bias[:, None, None], values, 1e-3), norm(x, folded, 1e-3), atol=1e-6)


@pytest.mark.parametrize("eps", [1e-3, 1.001e-5, 1e-5, 1e-7, 0.0])
@pytest.mark.parametrize("smallest", [0.5, 1e-6, 1e-9])
def test_another_epsilon(eps: float, smallest: float) -> None:
    x, values = draw(2, 64, 2, 2), statistics(64, smallest)
    values["running_var"][0] = smallest
    model = own(**{f"a__norm__{leaf}": tensor for leaf, tensor in values.items()})
    folds.norm_epsilon(model, eps)
    folded = {leaf: model.tensors[f"a.norm.{leaf}"] for leaf in values}
    assert (folded["running_var"] >= 0).all()
    assert torch.allclose(norm(x, folded, EPS), norm(x, values, eps), rtol=1e-6, atol=1e-6)


def test_a_norm_goes_into_the_layer_before_it() -> None:
    x, weight, bias, values = draw(2, 3, 5, 5), draw(4, 3, 3, 3), draw(4), statistics(4)
    model = own(a__conv__weight=weight, a__conv__bias=bias, **{f"a__norm__{leaf}": t for leaf, t in values.items()})
    folds.norm_into_layer(model, "a.conv", "a.norm", 1e-3)
    assert list(model.tensors) == ["a.conv.weight", "a.conv.bias"]
    assert model.heirs("a.norm.running_var") == ("a.conv.weight", "a.conv.bias")
    slow = norm(F.conv2d(x, weight, bias), values, 1e-3)
    fast = F.conv2d(x, model.tensors["a.conv.weight"], model.tensors["a.conv.bias"])
    assert torch.allclose(slow.float(), fast, atol=1e-5)


def test_scales_and_shifts_alone_get_statistics_that_do_nothing() -> None:
    x, values = draw(2, 3, 4, 4), statistics(3)
    model = own(a__norm__weight=values["weight"], a__norm__bias=values["bias"])
    folds.unit_statistics(model)
    completed = {leaf: model.tensors[f"a.norm.{leaf}"] for leaf in values}
    slow = x.double() * values["weight"].double()[:, None, None] + values["bias"].double()[:, None, None]
    assert torch.allclose(norm(x, completed, EPS), slow, atol=1e-6)


def test_the_softmax_of_two_is_the_sigmoid_of_their_difference() -> None:
    weight, x = draw(6, 5), draw(7, 5)
    model = own(rpn__head__objectness__weight=weight)
    folds.one_logit(model, r"rpn\.head\.objectness\.weight")
    two = (x @ weight.T).view(7, 3, 2).softmax(dim=2)[..., 1]
    assert torch.allclose((x @ model.tensors["rpn.head.objectness.weight"].T).sigmoid(), two, atol=1e-6)


def test_order_and_unit_of_deltas() -> None:
    model = own(d__bias=torch.tensor([1.0, 2.0, 3.0, 4.0, 10.0, 20.0, 30.0, 40.0]))
    folds.delta_order(model, r"d\.bias", (0.1, 0.1, 0.2, 0.2))
    expected = [0.2, 0.1, 0.8, 0.6, 2, 1, 8, 6]  # dx, dy, dw, dh of what was dy, dx, dh, dw
    assert model.tensors["d.bias"].tolist() == pytest.approx(expected)


def test_the_background_goes_from_first_to_last() -> None:
    model = own(box_head__logits__bias=torch.arange(4.0), box_head__deltas__bias=torch.arange(16.0))
    folds.background_last(model)
    folds.drop_background(model, r"box_head\.deltas\.bias", 4)
    assert model.tensors["box_head.logits.bias"].tolist() == [1, 2, 3, 0]
    assert model.tensors["box_head.deltas.bias"].tolist() == list(range(4, 16))


def test_ratios_the_other_way_round() -> None:
    model = own(rpn__head__objectness__bias=torch.arange(3.0), rpn__head__deltas__bias=torch.arange(12.0))
    folds.anchors_reversed(model)
    assert model.tensors["rpn.head.objectness.bias"].tolist() == [2, 1, 0]
    assert model.tensors["rpn.head.deltas.bias"].tolist() == [8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3]


def test_fc1_reads_row_column_channel() -> None:
    weight, pooled = draw(5, 4 * 9), draw(2, 4, 3, 3)
    model = own(box_head__body__fc1__weight=weight, pyramid__output__0__conv__weight=draw(4, 4, 3, 3))
    folds.channels_last_in_fc1(model)
    new = model.tensors["box_head.body.fc1.weight"]
    assert torch.allclose(
        F.linear(pooled.permute(0, 2, 3, 1).flatten(1), new), F.linear(pooled.flatten(1), weight), atol=1e-5
    )


# ---- layouts of Keras


def test_a_convolution_with_outputs_last() -> None:
    kernel, x = draw(3, 3, 2, 4), draw(1, 2, 5, 5)
    out = F.conv2d(x, folds.from_convolution(kernel))[0, :, 1, 2]  # (4)
    assert torch.allclose(out, torch.einsum("cyx,yxco->o", x[0, :, 1:4, 2:5], kernel), atol=1e-5)


def test_a_transposed_convolution_with_outputs_last() -> None:
    kernel, x = draw(2, 2, 4, 3), draw(1, 3, 1, 1)  # rows, columns, out, in
    out = F.conv_transpose2d(x, folds.from_convolution(kernel), stride=2)[0]  # (4, 2, 2)
    assert torch.allclose(out, torch.einsum("c,yxoc->oyx", x[0, :, 0, 0], kernel), atol=1e-5)


def test_a_convolution_over_the_whole_map_is_linear() -> None:
    kernel, x = draw(3, 3, 2, 4), draw(1, 2, 3, 3)
    flat = x.permute(0, 2, 3, 1).flatten(1)
    slow = F.conv2d(x, folds.from_convolution(kernel)).flatten(1)
    assert torch.allclose(F.linear(flat, folds.linear_from_convolution(kernel)), slow, atol=1e-5)


def test_a_dense_layer_with_outputs_last() -> None:
    kernel, x = draw(5, 3), draw(2, 5)
    assert torch.allclose(F.linear(x, folds.from_dense(kernel)), x @ kernel, atol=1e-5)
