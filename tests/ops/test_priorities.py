import torch

from maskrcnn.ops.priorities import priorities

MASK = (1 << 64) - 1


def splitmix(key: int, counter: int) -> float:
    """SplitMix64 as in the paper, with Python's whole numbers."""
    x = (key + counter * 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    x ^= x >> 31
    return (x >> 40) / 2**24


def test_equals_the_paper() -> None:
    keys = torch.tensor([0, 1, 2**62, 123456789])
    drawn = priorities(keys, 5, 3)
    expected = [[splitmix(key, (3 << 32) + i) for i in range(5)] for key in keys.tolist()]
    assert drawn.tolist() == expected


def test_numbers_are_uniform_and_streams_differ() -> None:
    drawn = priorities(torch.arange(4), 20_000, 0)
    assert torch.allclose(drawn.mean(dim=1), torch.full((4,), 0.5), atol=0.01)
    assert torch.allclose(drawn.var(dim=1), torch.full((4,), 1 / 12), atol=0.005)
    assert not torch.equal(drawn, priorities(torch.arange(4), 20_000, 1))


def test_a_picture_draws_the_same_whatever_stands_beside_it() -> None:
    alone, together = priorities(torch.tensor([7]), 10, 0), priorities(torch.tensor([3, 7]), 10, 0)
    assert torch.equal(alone[0], together[1])
