"""What `score_network` and `resolve_metrics` promise, and how they refuse."""

from __future__ import annotations

import dataclasses
import gc
import math

import pytest
import torch
from torch import nn

from robonas.datasets.batch import Batch
from robonas.errors import ConfigError, MetricError, NetworkError, UnknownNameError
from robonas.metrics import METRICS, Metric, Need, chosen_metrics, resolve_metrics, score_network
from robonas.spaces import NASBench201
from tests.metrics.networks import convnet, images, seeded

ALL = [name for name, metric in METRICS.items() if not metric.measures_the_machine]


def test_registry_is_sorted_and_keyed_by_name() -> None:
    assert list(METRICS) == sorted(METRICS)
    assert all(name == metric.name for name, metric in METRICS.items())


def test_every_card_is_complete() -> None:
    for metric in METRICS.values():
        assert metric.meaning.endswith(".")
        assert metric.formula
        assert metric.source
        assert metric.weaknesses
        assert metric.needs
        assert metric.compute.__doc__


def test_names_objects_functions_and_references_resolve() -> None:
    def mine(passes) -> float:
        """Mine."""
        return passes.loss

    mine.needs = ["activations", Need.GRADIENTS]
    metrics = resolve_metrics(["snip", METRICS["params"], mine, "robonas.metrics.grasp:GRASP"])
    assert [metric.name for metric in metrics] == ["snip", "params", "mine", "grasp"]
    assert metrics[2].needs == {Need.ACTIVATIONS, Need.GRADIENTS}
    assert metrics[2].meaning == "Mine."


def test_what_cannot_be_resolved_is_refused_with_a_remedy() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'snip'"):
        resolve_metrics(["sinp"])
    with pytest.raises(ConfigError, match="got none"):
        resolve_metrics([])
    with pytest.raises(ConfigError, match="'snip' 2 times"):
        resolve_metrics(["snip", METRICS["snip"]])
    with pytest.raises(ConfigError, match="Write \\['snip'\\]"):
        resolve_metrics("snip")
    with pytest.raises(ConfigError, match="a name, a Metric or a function"):
        resolve_metrics([3])

    def mine(passes) -> float:
        return 0.0

    mine.needs = ["telepathy"]
    with pytest.raises(ConfigError, match="members of Need"):
        resolve_metrics([mine])


def test_a_users_metric_shares_passes_and_its_failure_is_its_own() -> None:
    def loss(passes) -> float:
        return passes.loss

    def broken(passes) -> float:
        raise KeyError("whatever")

    def text(passes) -> str:
        return "seven"

    def infinite(passes) -> float:
        return float(passes.logits.abs().max()) * math.inf

    def undeclared(passes) -> float:
        return float(passes.jacobian.sum())

    def undefined(passes) -> float:
        raise MetricError("only on Sundays")

    scores = score_network(seeded(convnet), images(), [loss, broken, text, infinite, undeclared, undefined, "snip"])
    assert scores["loss"].value == pytest.approx(1.4, abs=0.4)
    assert scores["snip"].reason is None
    line = broken.__code__.co_firstlineno + 1
    assert scores["broken"].reason == f"broken raised KeyError: 'whatever' (test_engine.py, line {line})"
    assert scores["text"].reason == "text must return a number; got str"
    assert scores["infinite"].reason == "infinite: the value is inf"
    assert "add Need.JACOBIAN" in scores["undeclared"].reason
    assert scores["undefined"].reason == "undefined: only on Sundays"
    assert all(math.isnan(score.value) == (score.reason is not None) for score in scores.values())


class Wrapped(nn.Module):
    def __init__(self, wrap) -> None:
        super().__init__()
        self.body = seeded(convnet)
        self.wrap = wrap

    def forward(self, x):
        return self.wrap(self.body(x))


@dataclasses.dataclass
class Answer:
    features: torch.Tensor
    logits: torch.Tensor


FORMS = {
    "result[0]": (lambda z: (z, z.mean(1)), lambda result: result[0]),
    "result['logits']": (lambda z: {"features": z.mean(1), "logits": z}, lambda result: result["logits"]),
    "result.logits": (lambda z: Answer(z.mean(1), z), lambda result: result.logits),
}


@pytest.mark.parametrize("suggestion", FORMS)
def test_any_output_gives_the_same_values_through_the_hook(suggestion) -> None:
    wrap, pick = FORMS[suggestion]
    batch = images()
    with pytest.raises(NetworkError) as caught:
        score_network(Wrapped(wrap), batch, ["snip"])
    assert f"`logits=lambda result: {suggestion}`" in str(caught.value)
    expected = score_network(seeded(convnet), batch, ALL)
    for name, score in score_network(Wrapped(wrap), batch, ALL, logits=pick).items():
        assert score.value == expected[name].value, name


def test_networks_that_do_not_fit_are_refused() -> None:
    batch = images()
    with pytest.raises(NetworkError, match=r"logits of shape \(8, 4\).*got shape \(8, 5\)"):
        score_network(seeded(lambda: convnet(n_classes=5)), batch, ["snip"])
    with pytest.raises(NetworkError, match=r"must take inputs of shape \(8, 3, 8, 8\); it raised RuntimeError"):
        score_network(nn.Linear(5, 4), batch, ["nwot"])
    with pytest.raises(NetworkError, match="`logits` could not pick"):
        score_network(seeded(convnet), batch, ["snip"], logits=lambda result: result["logits"])
    with pytest.raises(NetworkError, match="`logits` must return"):
        score_network(seeded(convnet), batch, ["snip"], logits=lambda result: result[0])
    with pytest.raises(NetworkError, match="is lazy"):
        score_network(nn.Sequential(nn.Flatten(), nn.LazyLinear(4)), batch, ["params"])
    with pytest.raises(NetworkError, match="floating-point logits"):
        score_network(seeded(convnet), batch, ["snip"], logits=lambda result: result.long())


def test_a_network_that_ignores_its_input_has_no_data_dependent_score() -> None:
    space = NASBench201(input_shape=(3, 8, 8), channels=4, depth=1)
    dead = space.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    scores = score_network(space.build_seeded(dead, 0), images(n_classes=10), ALL)
    for name in ("params", "flops", "l2_norm"):
        assert scores[name].value > 0.0
    for name in ("grad_norm", "snip", "grasp", "fisher", "synflow", "jacov", "nwot", "plain"):
        assert scores[name].reason.startswith(f"{name}: the logits do not depend on the input")


def test_micro_batches_give_the_whole_where_that_is_exact() -> None:
    network = seeded(lambda: convnet(norm=lambda width: nn.GroupNorm(2, width))).double()
    batch = images(10)
    whole = score_network(network, batch, ALL)
    for size in (1, 3, 5, 99):
        for name, score in score_network(network, batch, ALL, micro_batch=size).items():
            assert score.value == pytest.approx(whole[name].value, rel=1e-9), (name, size)


def test_micro_batches_are_refused_where_samples_are_tied() -> None:
    scores = score_network(seeded(convnet), images(10), ALL, micro_batch=5)
    assert "batch norm ties the samples" in scores["snip"].reason
    assert "batch norm ties the samples" in scores["nwot"].reason
    assert scores["synflow"].reason is None
    with pytest.raises(ConfigError, match="`micro_batch` must be at least 1; got 0"):
        score_network(seeded(convnet), images(10), ALL, micro_batch=0)


def test_a_batch_norm_over_one_value_is_refused_as_a_whole() -> None:
    """Per-sample statistics of a single value: PyTorch's own sentence, with the shape."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.BatchNorm1d(4))
    with pytest.raises(NetworkError, match="Expected more than 1 value per channel"):
        score_network(network, images(2), ["snip"], micro_batch=1)


def test_frozen_tied_and_unused_weights() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(6, 6)
            self.tied = nn.Linear(6, 6)
            self.tied.weight = self.first.weight
            self.frozen = nn.Linear(6, 6).requires_grad_(False)
            self.unused = nn.Linear(6, 6)
            self.last = nn.Linear(6, 4)
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, x):
            return self.last(torch.relu(self.frozen(torch.relu(self.tied(torch.relu(self.first(x)))))) * self.scale)

    seen = {}

    def spy(passes) -> float:
        seen.update(gradients=passes.gradients, left_out=passes.left_out)
        return 0.0

    network = seeded(Odd)
    batch = Batch(torch.randn(8, 6, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 4, n_classes=4)
    scores = score_network(network, batch, [spy, "snip", "grasp", "params", "synflow"])
    assert all(score.reason is None for score in scores.values())
    assert list(seen["gradients"]) == ["first.weight", "frozen.weight", "unused.weight", "last.weight"]
    assert seen["left_out"]["frozen.weight"] == "frozen"
    assert seen["left_out"]["unused.weight"] == "unused"
    assert seen["left_out"]["first.bias"] == "bias"
    assert seen["left_out"]["scale"] == "parameter of Odd, which is no convolution or linear layer"
    assert "first.weight" not in seen["left_out"]
    loss = nn.functional.cross_entropy(network(batch.inputs), batch.targets)
    (expected,) = torch.autograd.grad(loss, network.first.weight)
    torch.testing.assert_close(seen["gradients"]["first.weight"], expected)


def test_networks_without_weights_or_with_none_trainable_say_so() -> None:
    batch = Batch(torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 4, n_classes=4)
    scores = score_network(nn.ReLU(), batch, ["snip", "synflow", "l2_norm", "params", "nwot"])
    for name in ("snip", "synflow"):
        assert scores[name].reason == f"{name}: the network has no convolution or linear layer"
    assert scores["l2_norm"].reason == "l2_norm: the network has no convolution, linear or recurrent layer"
    assert scores["params"].value == 0.0
    frozen = nn.Linear(4, 4).requires_grad_(False)
    assert score_network(frozen, batch, ["snip"])["snip"].reason == "snip: every weight is frozen"
    assert score_network(frozen, batch, ["l2_norm", "jacov"])["jacov"].reason is None


def test_no_rectifier_and_smooth_rectifiers() -> None:
    batch = images()
    plain = score_network(seeded(lambda: convnet(nn.Identity)), batch, ["nwot", "snip"])
    assert plain["nwot"].reason == "nwot: the network calls no rectifier (ReLU, GELU, SiLU, …)"
    assert plain["snip"].reason is None
    relu = score_network(seeded(convnet), batch, ["nwot"])["nwot"].value
    for activation in (nn.GELU, nn.SiLU, nn.Mish, nn.ELU, nn.Hardswish, nn.LeakyReLU, nn.ReLU6, nn.PReLU, nn.Softplus):
        score = score_network(seeded(lambda kind=activation: convnet(kind)), batch, ["nwot"])["nwot"]
        assert score.value == pytest.approx(relu, rel=0.1), activation


def test_degenerate_batches() -> None:
    """Samples that repeat make the kernel singular; the reason says so, and jacov stays finite."""
    base = images(4)
    batch = Batch(base.inputs.repeat(2, 1, 1, 1), base.targets.repeat(2), n_classes=4)
    scores = score_network(seeded(convnet), batch, ["nwot", "jacov"])
    assert "switch the rectifiers alike" in scores["nwot"].reason
    assert math.isfinite(scores["jacov"].value)


def test_hooks_graphs_and_memory_do_not_pile_up() -> None:
    network, batch = seeded(convnet), images()
    first = score_network(network, batch, ALL)
    gc.collect()
    alive = sum(isinstance(found, torch.Tensor) for found in gc.get_objects())
    gc.disable()
    try:
        for _ in range(20):
            assert {k: v.value for k, v in score_network(network, batch, ALL).items()} == {
                k: v.value for k, v in first.items()
            }
        assert sum(isinstance(found, torch.Tensor) for found in gc.get_objects()) <= alive + 5
    finally:
        gc.enable()
    for module in network.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
        assert not module._backward_hooks


def test_the_callers_gradient_mode_does_not_matter() -> None:
    network, batch = seeded(convnet), images()
    expected = score_network(network, batch, ALL)
    with torch.no_grad():
        inside = score_network(network, batch, ALL)
    with torch.inference_mode():
        deep = score_network(network, batch, ALL)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = score_network(network, batch, ALL)
    for other in (inside, deep, cast):
        assert {name: score.value for name, score in other.items()} == {
            name: score.value for name, score in expected.items()
        }


def test_seconds_are_shared() -> None:
    scores = score_network(seeded(convnet), images(), ALL)
    assert all(score.seconds >= 0.0 for score in scores.values())
    assert scores["grasp"].seconds > scores["params"].seconds


def test_metric_names_are_checked() -> None:
    with pytest.raises(ConfigError, match="without commas"):
        Metric("a,b", lambda _: 0.0, frozenset(), "", "", "")


def test_a_metric_that_changes_what_it_shares_spoils_only_itself() -> None:
    def writes_gradients(passes) -> float:
        return float(sum(gradient.abs_().sum() for gradient in passes.gradients.values()))

    def writes_weights(passes) -> float:
        with torch.no_grad():
            for weight in passes.weights.values():
                weight.zero_()
        return 1.0

    def goes_to_eval(passes) -> float:
        passes.network.eval()
        return 1.0

    def backward(passes) -> float:
        passes.network(passes.inputs()).sum().backward()
        return 1.0

    def draws(passes) -> float:
        return float(torch.rand(()))

    network, batch = seeded(convnet), images()
    expected = score_network(network, batch, ["plain", "snip", "jacov"])
    before = torch.get_rng_state()
    culprits = [writes_gradients, writes_weights, goes_to_eval, backward]
    for order in (culprits, culprits[::-1]):
        scores = score_network(
            network, batch, [order[0], "plain", order[1], order[2], "snip", draws, order[3], "jacov"]
        )
        for name in ("plain", "snip", "jacov"):
            assert scores[name].value == expected[name].value
        assert "changed tensors of the shared passes" in scores["writes_gradients"].reason
        assert "changed the network's parameters or buffers" in scores["writes_weights"].reason
        assert "changed the mode of modules" in scores["goes_to_eval"].reason
        assert "the gradients of parameters" in scores["backward"].reason
        assert scores["draws"].value == score_network(network, batch, [draws])["draws"].value
    assert torch.equal(before, torch.get_rng_state())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_private_copy_is_put_back_for_the_next_metric() -> None:
    copies = []

    def first(passes) -> float:
        twin = passes.copy()
        with torch.no_grad():
            for parameter in twin.parameters():
                parameter.zero_()
        copies.append(twin)
        return float(twin(passes.inputs()).detach().abs().sum())

    def second(passes) -> float:
        twin = passes.copy()
        copies.append(twin)
        return float(twin(passes.inputs()).detach().abs().sum())

    network, batch = seeded(convnet), images()
    scores = score_network(network, batch, [first, second])
    assert scores["first"].value == 0.0
    assert scores["second"].value == pytest.approx(float(seeded(convnet)(batch.inputs).detach().abs().sum()))
    assert copies[0] is copies[1]
    assert copies[0] is not network


class Hungry(nn.Module):
    """Runs out of memory above some number of samples, as a GPU does."""

    def __init__(self, most: int, norm=nn.Identity) -> None:
        super().__init__()
        self.body, self.most, self.seen = seeded(lambda: convnet(norm=lambda _: norm())), most, []

    def forward(self, x):
        self.seen.append(len(x))
        if len(x) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return self.body(x)


@pytest.mark.parametrize("n", [2, 5, 7, 8])
def test_out_of_memory_splits_the_batch_and_keeps_the_value(n) -> None:
    batch = images(n)
    names = ["snip", "grasp", "fisher", "jacov", "naswot_gram"]
    expected = score_network(Hungry(99).double(), batch, names)
    for most in (1, 2, 3):
        scores = score_network(Hungry(most).double(), batch, names)
        for name in names:
            assert scores[name].value == pytest.approx(expected[name].value, rel=1e-9), (name, most)


def test_out_of_memory_for_good_ends_with_a_reason() -> None:
    network = Hungry(0)
    scores = score_network(network, images(7), ["snip", "jacov"])
    assert network.seen == [7, 4, 2, 1]
    assert "a forward pass of 1 samples does not fit in memory" in scores["snip"].reason
    tied = Hungry(4)
    tied.body = seeded(convnet)
    assert "batch norm ties the samples" in score_network(tied, images(8), ["snip"])["snip"].reason


def test_what_a_batch_cannot_give_is_known_before_any_network() -> None:
    regression = Batch(images(2).inputs, torch.rand(2, 4), n_classes=4, task="regression")
    assert METRICS["epe_nas"].unsuited(regression) == (
        "epe_nas is defined for classification, and the batch's task is regression"
    )
    assert METRICS["zico"].unsuited(images(3)) == "zico needs at least 4 samples, and the batch has 3"
    assert METRICS["snip"].unsuited(regression) is None


def test_cards_say_it_in_words() -> None:
    card = METRICS["ntk_cond"].card()
    assert card["direction"] == "lower is better"
    assert card["range"] == "1 to ∞"
    assert card["cost"] == "a pass for each sample or class"
    assert METRICS["snip"].card()["needs"] == "a backward pass of the loss; labels"
    assert all(all(card.values()) for card in (metric.card() for metric in METRICS.values()))
    assert "Add `layers`" in METRICS["vkdnw"].card()["source"]
    assert "constant" in METRICS["linear_regions"].card()["agreement"]


def test_cards_say_how_they_agree_with_accuracies() -> None:
    """Ours as measured, beside what is published; a figure from memory says so."""
    for name, metric in METRICS.items():
        card = metric.card()
        if metric.measures_the_machine:
            assert card["agreement"] == "not measured"
            continue
        assert "of 400 cells of NAS-Bench-201 on CIFAR-10" in card["agreement"], name
        if " reports " in metric.reported and "no paper" not in metric.reported and "alone" not in metric.reported:
            assert "(recalled, not checked)" in metric.reported, name


def test_nothing_of_a_pass_waits_for_the_garbage_collector() -> None:
    """Graphs die when the scores are there, so that memory is bounded by one network."""

    def alive() -> int:
        return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())

    space = NASBench201(input_shape=(3, 8, 8), channels=4, depth=1)
    text = "|avg_pool_3x3~0|+|none~0|nor_conv_1x1~1|+|avg_pool_3x3~0|none~1|none~2|"
    network = space.build_seeded(space.parse(text), 0)
    batch = Batch(torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 3]), n_classes=10)
    score_network(network, batch, ["jacov"])  # fills caches
    gc.collect()
    gc.disable()
    try:
        for names in (["jacov"], ["grasp"], ["fisher", "nwot"], ["zen"]):
            before = alive()
            score_network(network, batch, names)
            assert alive() == before, names
    finally:
        gc.enable()


def test_auto_stands_for_the_cheap_metrics_with_a_record() -> None:
    chosen = chosen_metrics()
    assert {"jacov", "nwot"} <= set(chosen)
    assert not {"grasp", "zico", "vkdnw"} & set(chosen), "dear, or without a record"
    assert [metric.name for metric in resolve_metrics("auto")] == chosen
    with_others = [metric.name for metric in resolve_metrics(["snip", "auto", "nwot"])]
    assert with_others == ["snip", "nwot", *(name for name in chosen if name not in {"snip", "nwot"})]
