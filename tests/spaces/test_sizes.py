"""NAS-Bench-Macro and NATS-Bench's size space: texts, classes and parameters by hand."""

import pytest
import torch

from robonas.errors import ArchitectureError, ConfigError
from robonas.spaces import NASBenchMacro, NATSSize


def test_macro_texts():
    space = NASBenchMacro()
    architecture = space.parse(" 02012100 ")
    assert list(architecture.values())[:4] == ["identity", "mb6_5x5", "identity", "mb3_3x3"]
    assert space.format(architecture) == "02012100"
    for text in ("0201210", "020121000", "02012103", "0,2,0,1,2,1,0,0"):
        with pytest.raises(ArchitectureError, match="must read like '02012100', eight digits from 0 to 2"):
            space.parse(text)


def test_macro_order_within_a_shape_does_not_matter():
    space = NASBenchMacro(input_shape=(3, 8, 8))
    one, other = space.parse("00001001"), space.parse("00010010")
    assert space.format(space.canonical(one)) == "00010010"
    x = torch.randn(2, 3, 8, 8)
    with torch.random.fork_rng():
        answers = []
        for architecture in (one, other):
            torch.manual_seed(0)
            answers.append(space.build(architecture)(x))
    assert torch.equal(*answers)
    # A first and a second operation that are both there may not be swapped.
    assert space.canonical(space.parse("00012000")) != space.canonical(space.parse("00021000"))


def test_macro_shapes():
    with pytest.raises(ConfigError, match=r"must be \(channels, height, width\); got \(3, 32\)"):
        NASBenchMacro(input_shape=(3, 32))


def test_size_texts():
    space = NATSSize()
    assert space.format(space.parse("8:64:32:16:64")) == "8:64:32:16:64"
    assert [space.format(space.at(index)) for index in (0, 1, 32_767)] == ["8:8:8:8:8", "8:8:8:8:16", "64:64:64:64:64"]
    for text in ("8:64:32:16", "8:64:32:16:64:8", "8-64-32-16-64", "a:b:c:d:e"):
        with pytest.raises(ArchitectureError, match="must read like '8:64:32:16:64', five widths"):
            space.parse(text)
    with pytest.raises(ArchitectureError, match=r"Choice 'width_2' of nats_size must be one of 8, .*; got 10"):
        space.parse("8:10:32:16:64")


def block(c_in, c_out, kernel):
    """Convolution and batch norm."""
    return kernel * kernel * c_in * c_out + 2 * c_out


def test_size_parameters_by_hand():
    one, two, three, four, five = widths = (8, 16, 24, 24, 24)

    def cell(c_in, c_out):
        from_input = 2 * block(c_in, c_out, 3) + (block(c_in, c_out, 1) if c_in != c_out else 0)
        return from_input + 3 * block(c_out, c_out, 3)

    def reduction(c_in, c_out):
        return block(c_in, c_out, 3) + block(c_out, c_out, 3) + c_in * c_out

    expected = (
        block(3, one, 3)
        + cell(one, one)
        + reduction(one, two)
        + cell(two, three)
        + reduction(three, four)
        + cell(four, five)
        + 2 * five
        + 10 * five
        + 10
    )
    space = NATSSize()
    assert space.count_parameters(space.parse(":".join(map(str, widths)))) == expected


def test_size_shapes():
    with pytest.raises(ConfigError, match="with sides of at least 4"):
        NATSSize(input_shape=(3, 2, 32))
