"""Opens what a utility sends: plain, gzip or zip, and says what form it has by its first bytes.
Nothing larger than a limit is read, packed or unpacked, whatever the file says of its own size."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BufferedReader, BytesIO, RawIOBase
from pathlib import Path
from typing import IO, Literal

from gridlens_core.errors import FileRefusedError

Form = Literal["table", "excel", "parquet", "nem12", "green button"]

MOST_BYTES = 500_000_000  # of a file, packed and unpacked: some five million reads
MOST_SHARED_BYTES = 60_000_000  # of an Excel file's texts, which are kept in memory
MOST_IN_MEMORY = 100_000_000  # of an Excel or Parquet file that is packed once more
MOST_MEMBERS = 2_000  # of a zip: a file a home
HEAD_BYTES = 65_536
MEGABYTE = 1_000_000

GZIP, ZIP, PARQUET, OLD_EXCEL = b"\x1f\x8b", b"PK\x03\x04", b"PAR1", b"\xd0\xcf\x11\xe0"


@dataclass(frozen=True)
class Member:
    """One file, or one of a zip: its name, its form, and how it is opened, unpacked, from the beginning."""

    name: str
    form: Form
    open: Callable[[], IO[bytes]]


class Bounded(RawIOBase):
    """A binary stream that refuses to be longer than `most` bytes."""

    def __init__(self, inner: IO[bytes], name: str, most: int = MOST_BYTES) -> None:
        self._inner, self._name, self._left, self._most = inner, name, most, most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        try:
            part = self._inner.read(len(buffer))
        except (OSError, EOFError, zipfile.BadZipFile, ValueError) as error:
            raise FileRefusedError.at(self._name, f"it cannot be unpacked: {error}") from error
        self._left -= len(part)
        if self._left < 0:
            raise too_large(self._name, self._most)
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        self._inner.close()
        super().close()


def too_large(name: str, most: int = MOST_BYTES) -> FileRefusedError:
    """The refusal of a file over the limit."""
    return FileRefusedError.at(
        name, f"it is larger than {most // MEGABYTE} MB, packed or unpacked; send fewer meters or fewer months"
    )


def members(path: Path, name: str = "", most: int = MOST_BYTES) -> list[Member]:
    """The files in a file; raises FileRefusedError where it is too large, empty or of a form that is not read."""
    name = name or path.name
    try:
        size = path.stat().st_size
    except OSError as error:
        raise FileRefusedError.at(name, f"it cannot be read: {error.strerror}") from error
    if size > most:
        raise too_large(name, most)
    head = _head(lambda: path.open("rb"))
    if head.startswith(ZIP) and not _is_excel(path):
        return list(_zipped(path, name, most))
    if head.startswith(GZIP):
        return [_member(name, _bounded(lambda: gzip.open(path, "rb"), name, most))]  # type: ignore[arg-type, return-value]
    return [_member(name, lambda: path.open("rb"))]


def _member(name: str, opened: Callable[[], IO[bytes]]) -> Member:
    head = _head(opened)
    if not head.strip():
        raise FileRefusedError.at(name, "it is empty")
    return Member(name, _form(name, head), opened)


def _form(name: str, head: bytes) -> Form:
    """What its first bytes say; raises FileRefusedError."""
    if head.startswith(PARQUET):
        return "parquet"
    if head.startswith(ZIP):
        return "excel"
    if head.startswith(OLD_EXCEL):
        raise FileRefusedError.at(name, "it is an Excel file of before 2007 (.xls); save it as .xlsx or CSV")
    if head.startswith(b"%PDF"):
        raise FileRefusedError.at(name, "it is a PDF; reads are taken from CSV, Excel, Parquet, NEM12 and Green Button")
    text = decoded(head).lstrip("\ufeff \r\n\t")
    if text.startswith("<"):
        return "green button"
    if text[:40].replace('"', "").replace(" ", "").upper().startswith("100,NEM12"):
        return "nem12"
    if "\x00" in text:
        raise FileRefusedError.at(name, "it is neither text nor a form that is read")
    return "table"


def encoding_of(head: bytes) -> str:
    """How the text of a file is encoded, by its first bytes."""
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if head.startswith(mark):
            return encoding
    try:
        head[: head.rfind(b"\n") + 1 or len(head)].decode("utf-8")
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def decoded(head: bytes) -> str:
    """The first bytes of a file as text."""
    return head.decode(encoding_of(head), errors="replace")


def head_of(member: Member, size: int = HEAD_BYTES) -> bytes:
    """Its first bytes, unpacked."""
    return _head(member.open, size)


def whole(member: Member) -> IO[bytes]:
    """A stream that can be moved about in, as Excel and Parquet need it."""
    opened = member.open()
    if opened.seekable():
        return opened
    with opened:
        data = opened.read(MOST_IN_MEMORY + 1)
    if len(data) > MOST_IN_MEMORY:
        raise too_large(member.name, MOST_IN_MEMORY)
    return BytesIO(data)


def check_excel(stream: IO[bytes], name: str) -> None:
    """Raises FileRefusedError where its parts unpack to more than the limits."""
    try:
        with zipfile.ZipFile(stream) as packed:
            sizes = {part.filename: part.file_size for part in packed.infolist()}
    except zipfile.BadZipFile as error:
        raise FileRefusedError.at(name, "it is no Excel file, or a damaged one") from error
    stream.seek(0)
    if sum(sizes.values()) > MOST_BYTES or sizes.get("xl/sharedStrings.xml", 0) > MOST_SHARED_BYTES:
        raise too_large(name)


def _is_excel(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as packed:
            return "xl/workbook.xml" in packed.namelist()
    except zipfile.BadZipFile:
        return False


def _zipped(path: Path, name: str, most: int) -> Iterator[Member]:
    try:
        with zipfile.ZipFile(path) as packed:
            parts = [part for part in packed.infolist() if not part.is_dir() and _is_data(part.filename)]
    except zipfile.BadZipFile as error:
        raise FileRefusedError.at(name, "it is no zip file, or a damaged one") from error
    if not parts:
        raise FileRefusedError.at(name, "the zip holds no file")
    if len(parts) > MOST_MEMBERS:
        raise FileRefusedError.at(name, f"the zip holds {len(parts):,} files; {MOST_MEMBERS:,} at the most")
    if any(part.flag_bits & 1 for part in parts):
        raise FileRefusedError.at(name, "the zip is locked by a password; unpack it first")
    if sum(part.file_size for part in parts) > most:
        raise too_large(name, most)
    for part in parts:
        inside = f"{name}/{part.filename}"
        head = _head(_bounded(_opener(path, part.filename), inside, most))
        if head.startswith(GZIP) or (head.startswith(ZIP) and not part.filename.lower().endswith((".xlsx", ".xlsm"))):
            raise FileRefusedError.at(inside, "a packed file inside a zip is not read; unpack it first")
        yield _member(inside, _bounded(_opener(path, part.filename), inside, most))


def _is_data(filename: str) -> bool:
    base = filename.rsplit("/", 1)[-1]
    return not filename.startswith("__MACOSX/") and not base.startswith(".")


def _opener(path: Path, part: str) -> Callable[[], IO[bytes]]:
    def opened() -> IO[bytes]:
        return zipfile.ZipFile(path).open(part)

    return opened


def _bounded(opened: Callable[[], IO[bytes]], name: str, most: int) -> Callable[[], IO[bytes]]:
    return lambda: BufferedReader(Bounded(opened(), name, most), HEAD_BYTES)


def _head(opened: Callable[[], IO[bytes]], size: int = HEAD_BYTES) -> bytes:
    with opened() as stream:
        return stream.read(size)
