"""Pipelines that must be refused: with frameworks installed, and with the core alone."""

from typing import TypeVar

from attrs import frozen

from polystore import (
    TIFF,
    Array,
    DiskConfig,
    FileFormat,
    Framework,
    HostArray,
    Item,
    Json,
    MemoryConfig,
    Outcome,
    Payload,
    Saved,
    Sink,
    Source,
    Success,
    Transfer,
    ZarrConfig,
    apply,
    collect,
    compose,
    convert,
    from_spec,
    list_files,
    load,
    read,
    rename,
    save,
    write,
)

T_co = TypeVar("T_co", covariant=True)


@frozen
class StreamConfig(Sink[Payload]):
    """A store that is only written."""

    port: int


@frozen
class ReadOnlyConfig(Source[T_co]):
    """A store that is only read."""

    store: Source[T_co]


@frozen
class JsonConfig(Source[Json], Sink[Json]):
    """A store that holds no arrays."""

    root: str


disk = DiskConfig(root="plate")
zarr = ZarrConfig(root="plate.zarr")
memory = MemoryConfig()
stream = StreamConfig(5555)
read_only = ReadOnlyConfig(disk)
json_only = JsonConfig("texts")
JSON: FileFormat[Json] = FileFormat("json", (".json",))


def halved(image: HostArray) -> HostArray:
    """Take and give an array of the host."""
    return image[::2, ::2]


def count(image: HostArray) -> int:
    """Give what is no array."""
    return image.size


def upper(text: str) -> str:
    """Take and give a text."""
    return text.upper()


class MlxArray:
    """An array of a third party's framework."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape."""
        return (1,)

    @property
    def dtype(self) -> str:
        """The element type."""
        return "float32"

    def __dlpack__(self) -> object:
        """Hand over."""
        raise NotImplementedError


def is_mlx(thing: object) -> bool:
    """Own."""
    return isinstance(thing, MlxArray)


def mlx_to_host(thing: MlxArray, how: Transfer) -> Outcome[HostArray]:
    """Bring to the host."""
    raise NotImplementedError(thing, how)


def mlx_from_host(thing: HostArray, how: Transfer) -> Outcome[MlxArray]:
    """Bring from the host."""
    raise NotImplementedError(thing, how)


MLX = Framework(name="mlx", owns=is_mlx, to_host=mlx_to_host, from_host=mlx_from_host)


def only_mlx(image: MlxArray) -> MlxArray:
    """Take only the third party's arrays."""
    return image


wells = Item("a", {"rows": 8})
pipeline = compose(load(disk), convert(to="jax"), save(zarr))

# A store that cannot hold what comes.
compose(load(disk), save(zarr))  # refused: Zarr cannot hold JSON
compose(load(disk, format=JSON), save(zarr))  # refused
compose(load(disk, format=JSON), rename(suffix=""), save(zarr))  # refused
compose(load(disk), rename(suffix=""), save(zarr))  # refused
compose(load(memory), save(zarr))  # refused
compose(load(zarr), apply(count), save(zarr))  # refused
save(zarr)(wells)  # refused
save(zarr)(Item("a", {"wells": 96}))  # refused
save(zarr)(Item("a", "text"))  # refused
save(disk)(Item("a", object()))  # refused
compose(save(zarr))(wells)  # refused
write("a.npy", object())  # refused

# A store of JSON alone takes no array, of whatever framework.
compose(load(disk), convert(to="jax"), save(json_only))  # refused
compose(load(disk), convert(to="torch"), save(json_only))  # refused
compose(load(disk), convert(to="numpy"), save(json_only))  # refused
compose(load(disk), convert(to="tensorflow"), save(json_only))  # refused
compose(load(disk), convert(to="cupy"), save(json_only))  # refused
compose(load(disk), convert(to=MLX), save(json_only))  # refused
compose(load(disk), convert(to="jax"), rename(suffix=""), save(json_only))  # refused
compose(load(disk), convert(to="jax"), rename("a"), rename("b"), save(json_only))  # refused
compose(compose(load(disk), convert(to="jax")), save(json_only))  # refused
compose(load(zarr), save(json_only))  # refused

# Steps that do not follow each other.
compose(save(zarr), load(disk))  # refused
compose(load(disk), load(disk))  # refused
compose(load(zarr), save(disk), rename(suffix=""))  # refused
compose(load(zarr), convert(to="jax"), load(zarr))  # refused
compose(load(disk), convert)  # refused
compose(load(disk), disk)  # refused
compose(disk, zarr)  # refused
compose()  # refused

# A function that does not take what comes.
compose(load(disk), apply(halved), save(zarr))  # refused
compose(load(zarr), apply(upper), save(disk))  # refused
compose(load(disk, format=JSON), apply(halved), save(disk))  # refused
compose(load(disk, format=TIFF), apply(only_mlx), save(disk))  # refused
compose(load(zarr), apply(count), apply(halved))  # refused
apply(halved)(Item("a", "text"))  # refused
apply(3)  # refused

# Stores the wrong way round.
load(stream)  # refused
load(StreamConfig(1), format=TIFF)  # refused
save(read_only)  # refused
save(ReadOnlyConfig(disk))  # refused
load(ReadOnlyConfig(stream))  # refused
compose(load(ReadOnlyConfig(disk)), save(zarr))  # refused
load("plate")  # refused
save("plate")  # refused
list_files(stream)  # refused
list_files("plate")  # refused

# Wrong words and keys.
convert(to="jaxx")  # refused
convert(to="tensorfloww")  # refused
convert(to="cupy", copy="no")  # refused
convert(to="numpy", casting="unsafe")  # refused
convert()  # refused
save(disk, if_exists="overwrite")  # refused
rename(3)  # refused
load(disk, format="tiff")  # refused
pipeline(3)  # refused
pipeline(Item("a", 3))  # refused
pipeline.map([1, 2])  # refused
pipeline.map("A01.tif", progress="yes")  # refused
read(3)  # refused
from_spec(pipeline)  # refused
from_spec({"load": disk})  # refused

# What comes out.
number: int = pipeline("A01.tif").unwrap()  # refused
array: HostArray = load(disk)("A01.tif").unwrap().payload  # refused
item: Item[HostArray] = load(disk)("A01.tif").unwrap()  # refused
text: Outcome[str] = load(zarr)("A01")  # refused
saved: Outcome[Saved] = Success("A01")  # refused
collect([("a", Success(3))]).saved  # refused


def on_any(image: Array) -> Json:
    """Ask an array for what not every framework has."""
    return image.tolist()  # refused
