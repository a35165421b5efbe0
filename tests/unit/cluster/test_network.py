"""Two clusters on one host never share an address, a link or a control group."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2e.cluster.cache import ClusterError
from e2e.cluster.network import Network, allocate, check_name, indices_of


@given(st.sets(st.integers(0, 255), max_size=255))
def test_allocates_the_lowest_index_that_is_free(taken: set[int]) -> None:
    index = allocate(taken).index
    assert index not in taken
    assert set(range(index)) <= taken


def test_says_so_when_all_are_taken() -> None:
    with pytest.raises(ClusterError, match="256 clusters"):
        allocate(range(256))


@given(st.sets(st.integers(0, 255)))
def test_finds_the_indices_of_links_on_the_host(indices: set[int]) -> None:
    links = [Network(index).link for index in indices]
    assert indices_of([*links, "lo", "eth0", "pnl", "pnlx", "xpnl3"]) == indices


def test_nothing_is_shared_between_two_networks() -> None:
    one, two = Network(0), Network(1)
    assert not {one.link, one.host, one.node, one.cgroup} & {two.link, two.host, two.node, two.cgroup}
    assert len(Network(255).link) <= 15, "the kernel's limit on the name of a link"


@pytest.mark.parametrize("name", ["a", "demo", "e2e-1", "x" * 40])
def test_accepts_a_name(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a/b", "..", ".lock", "a b", "x" * 41])
def test_refuses_a_name_that_is_no_folder_or_container(name: str) -> None:
    with pytest.raises(ClusterError, match="cluster name"):
        check_name(name)
