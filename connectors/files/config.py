"""Settings of one folder of files."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from connectors.files.values import date_format


class ListSettings(BaseModel):
    """One object: a file, or several of one form, that together are one list."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str = Field(min_length=1, description="name in the folder; * stands for any text: invoices-*.csv")
    id: str = Field(min_length=1, description="column whose text names a row; it must be unique")
    lines: tuple[str, ...] = Field(default=(), description="columns of lines: rows of one id are one record with lines")
    full_list: bool = Field(default=False, description="a row that is no longer there is deleted")
    largest_loss: float = Field(default=0.5, gt=0, le=1, description="share of a full list that may go at once")
    numbers: tuple[str, ...] = Field(default=(), description="columns that hold numbers")
    decimal_sign: Literal[".", ","] = Field(default=".", description="of text; Excel's own number cells need none")
    thousands_sign: Literal["", ",", ".", " ", "'"] = Field(default="", description="between groups of digits")
    dates: dict[str, str] = Field(default_factory=dict, description="column: format, such as DD/MM/YYYY")
    created: str | None = Field(default=None, description="date column: when a row came to be, for the first read")
    header_line: int = Field(default=1, ge=1, le=1000, description="line of the column names")
    encoding: str = Field(default="auto", description="auto, or a name such as utf-8, utf-16, cp1252, cp1250")
    delimiter: str = Field(default="auto", description="auto, or one character; tab for a tabulator")
    sheet: str | None = Field(default=None, description="of a workbook with more than one")
    write: bool = Field(default=False, description="rows are written to this CSV file; it is made when it is not there")
    columns: tuple[str, ...] = Field(default=(), description="columns of a file that is to be made, in their order")

    @property
    def named_columns(self) -> tuple[str, ...]:
        """The columns that these settings name: each file must have them."""
        return (self.id, *self.lines, *self.numbers, *self.dates)

    @field_validator("file")
    @classmethod
    def _inside(cls, value: str) -> str:
        path = PurePosixPath(value)
        if path.is_absolute() or not path.parts or ".." in path.parts or "\\" in value:
            raise ValueError("a name inside the folder, with / between its parts")
        return value

    @field_validator("dates")
    @classmethod
    def _formats(cls, value: dict[str, str]) -> dict[str, str]:
        for form in value.values():
            date_format(form)
        return value

    @field_validator("encoding")
    @classmethod
    def _encoding(cls, value: str) -> str:
        if value != "auto":
            try:
                "".encode(value)
            except LookupError:
                raise ValueError("auto, or an encoding that Python knows, such as utf-8 or cp1252") from None
        return value

    @field_validator("delimiter")
    @classmethod
    def _delimiter(cls, value: str) -> str:
        value = {"tab": "\t"}.get(value, value)
        if value != "auto" and (len(value) != 1 or value in '"\r\n'):
            raise ValueError("auto, tab, or one character such as ; or ,")
        return value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.decimal_sign == self.thousands_sign:
            raise ValueError("decimal_sign and thousands_sign that differ")
        if self.created is not None and self.created not in self.dates:
            raise ValueError(f"created: a column that stands under dates, unlike {self.created!r}")
        if self.write and ("*" in self.file or "?" in self.file or "[" in self.file or not self.file.endswith(".csv")):
            raise ValueError("for write: the name of one .csv file, without *")
        if self.write and self.id not in self.columns:
            raise ValueError("for write: columns that hold the id column")
        if self.lines and (self.write or self.id in self.lines):
            raise ValueError("lines: columns other than the id, of a list that is only read")
        if len(set(self.columns)) < len(self.columns):
            raise ValueError("columns that differ")
        return self


class FilesConfig(BaseModel):
    """Settings of one connection to a folder; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path = Field(description="where the files lie; relative to the settings file")
    objects: dict[str, ListSettings] = Field(
        min_length=1, description="name in the mapping: which file, and how to read it"
    )
    zone: str = Field(default="UTC", description="IANA time zone of `created` columns")
    page_size: int = Field(default=5000, ge=1, le=100_000, description="rows stored in one step")
    largest_file_mb: int = Field(default=100, ge=1, le=2000, description="a larger file is refused")

    @field_validator("folder")
    @classmethod
    def _beside_the_settings(cls, value: Path, info: ValidationInfo) -> Path:
        base: Any = (info.context or {}).get("folder", ".")
        return Path(base) / value

    @field_validator("zone")
    @classmethod
    def _zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError("an IANA time zone such as Australia/Sydney") from None
        return value
