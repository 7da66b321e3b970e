"""What an index takes of an array is what NumPy takes, and the metadata follow."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from virtual_stack import METADATA, stack

from polystore import (
    HostArray,
    InvalidSpec,
    LazyArray,
    Metadata,
    Outcome,
    Success,
    is_successful,
)
from polystore.backends.virtual.cutting import cut_array, cut_lazily, cut_metadata, cut_of
from polystore.core.payload import ArraySpec, Region

indices = st.one_of(
    st.integers(-1, 4), st.tuples(st.integers(-1, 4), st.integers(-1, 4)).map(tuple)
)


def fits(part: int | tuple[int, int], length: int) -> bool:
    if isinstance(part, int):
        return 0 <= part < length
    return 0 <= part[0] <= part[1] <= length


@st.composite
def slices(draw: st.DrawFn) -> slice:
    bounds = st.none() | st.integers(-4, 4)
    return slice(draw(bounds), draw(bounds))


@given(st.lists(st.integers(0, 3), max_size=3), st.lists(indices, max_size=4), st.data())
def test_an_index_takes_what_numpy_takes(
    shape: list[int], parts: list[int | tuple[int, int]], data: st.DataObject
) -> None:
    array = np.arange(np.prod(shape, dtype=int), dtype="i4").reshape(shape)
    index = tuple(parts)
    found = cut_of(index, array.shape, "index")
    if len(parts) > len(shape) or not all(map(fits, parts, shape)):
        assert isinstance(found.failure(), InvalidSpec)
        return
    cut = found.unwrap()
    wanted = array[tuple(part if isinstance(part, int) else slice(*part) for part in parts)]
    whole = cut_array(array, cut)
    assert (whole.shape, whole.dtype) == (wanted.shape, wanted.dtype)
    assert whole.tobytes() == wanted.tobytes()
    lazy = cut_lazily(lazily(array), cut)
    assert lazy.spec.shape == wanted.shape
    region: Region = data.draw(st.tuples(*(slices() for _ in lazy.spec.shape)))
    part = lazy.read(region).unwrap()
    assert part.tobytes() == wanted[region].tobytes()
    assert part.shape == wanted[region].shape


def lazily(array: HostArray) -> LazyArray:
    """Give an array lazily; a region that leads outside of it is none."""

    def read(region: Region) -> Outcome[HostArray]:
        for part, length in zip(region, array.shape, strict=True):
            assert 0 <= part.start <= part.stop <= length
        return Success(array[region].copy())

    return LazyArray(ArraySpec(array.shape, str(array.dtype), (), array.shape), read)


@given(st.lists(indices, max_size=4))
def test_the_metadata_are_of_the_axes_that_are_left(parts: list[int | tuple[int, int]]) -> None:
    shape = stack().shape
    found = cut_of(tuple(parts), shape, "index")
    if not is_successful(found):
        return
    kept = [axis for axis in range(4) if axis >= len(parts) or not isinstance(parts[axis], int)]
    metadata = cut_metadata(METADATA, found.unwrap(), shape)
    assert metadata.axes == tuple(METADATA.axes[axis] for axis in kept)
    assert metadata.scale == tuple(METADATA.scale[axis] for axis in kept)
    assert metadata.unit == tuple(METADATA.unit[axis] for axis in kept)
    taken = found.unwrap().taken[1]
    assert metadata.channel_names == tuple(METADATA.channel_names[number] for number in taken)


def test_names_of_channels_on_an_unknown_axis_are_not_guessed() -> None:
    cut = cut_of((0,), (3, 4), "index").unwrap()
    names = Metadata(channel_names=("a", "b", "c"))
    assert cut_metadata(names, cut, (3, 4)).channel_names == ()
    assert cut_metadata(names, cut_of((), (3, 4), "index").unwrap(), (3, 4)) == names
