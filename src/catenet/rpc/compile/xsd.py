"""XML Schema for what the XML codec writes. Pure: descriptors in, text out; docs/rpc-xml.md has the mapping.

A schema a .proto file, in the namespace of its package, and one that they share (`catenet.xsd`). Fields are local
elements without a namespace, in a sequence by their numbers: that is how they are written. Readers take them in any
order, which XML Schema 1.0 cannot say of elements that repeat.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from xml.sax.saxutils import escape, quoteattr

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)

__all__ = ["EXTRAS_SCHEMA", "EXTRAS_SCHEMA_NAME", "generate_schema", "schema_name"]

EXTRAS_SCHEMA_NAME = "catenet.xsd"
_EXTRAS = "urn:catenet:xml"
EXTRAS_SCHEMA = f"""\
<?xml version="1.0" encoding="UTF-8"?>
<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:x="{_EXTRAS}" targetNamespace="{_EXTRAS}">
  <xs:complexType name="text">
    <xs:simpleContent>
      <xs:extension base="xs:string"><xs:attribute name="encoding" type="x:encoding"/></xs:extension>
    </xs:simpleContent>
  </xs:complexType>
  <xs:simpleType name="encoding">
    <xs:restriction base="xs:string"><xs:enumeration value="base64"/></xs:restriction>
  </xs:simpleType>
  <xs:attributeGroup name="key">
    <xs:attribute name="key" type="xs:string" use="required"/>
    <xs:attribute name="key-encoding" type="x:encoding"/>
  </xs:attributeGroup>
  <xs:complexType name="any" mixed="true">
    <xs:sequence><xs:any namespace="##any" processContents="skip" minOccurs="0" maxOccurs="unbounded"/></xs:sequence>
    <xs:attribute name="type" type="xs:anyURI"/>
    <xs:attribute name="encoding" type="x:encoding"/>
  </xs:complexType>
  <xs:element name="unknown" type="xs:base64Binary"/>
  <xs:element name="extension">
    <xs:complexType mixed="true">
      <xs:sequence><xs:any namespace="##any" processContents="skip" minOccurs="0" maxOccurs="unbounded"/></xs:sequence>
      <xs:attribute name="name" type="xs:string" use="required"/>
      <xs:anyAttribute processContents="skip"/>
    </xs:complexType>
  </xs:element>
</xs:schema>
"""

_F = FieldDescriptorProto
_SCALARS = {
    _F.TYPE_DOUBLE: "xs:double",
    _F.TYPE_FLOAT: "xs:float",
    _F.TYPE_INT64: "xs:long",
    _F.TYPE_SINT64: "xs:long",
    _F.TYPE_SFIXED64: "xs:long",
    _F.TYPE_UINT64: "xs:unsignedLong",
    _F.TYPE_FIXED64: "xs:unsignedLong",
    _F.TYPE_INT32: "xs:int",
    _F.TYPE_SINT32: "xs:int",
    _F.TYPE_SFIXED32: "xs:int",
    _F.TYPE_UINT32: "xs:unsignedInt",
    _F.TYPE_FIXED32: "xs:unsignedInt",
    _F.TYPE_BOOL: "xs:boolean",
    _F.TYPE_STRING: "x:text",
    _F.TYPE_BYTES: "xs:base64Binary",
}
_WELL_KNOWN = {
    ".google.protobuf.Timestamp": "xs:dateTime",
    ".google.protobuf.Duration": "xs:duration",
    ".google.protobuf.Any": "x:any",
    ".google.protobuf.DoubleValue": "xs:double",
    ".google.protobuf.FloatValue": "xs:float",
    ".google.protobuf.Int64Value": "xs:long",
    ".google.protobuf.UInt64Value": "xs:unsignedLong",
    ".google.protobuf.Int32Value": "xs:int",
    ".google.protobuf.UInt32Value": "xs:unsignedInt",
    ".google.protobuf.BoolValue": "xs:boolean",
    ".google.protobuf.StringValue": "x:text",
    ".google.protobuf.BytesValue": "xs:base64Binary",
}
_ANY_EXTRAS = f'<xs:any namespace="{_EXTRAS}" processContents="lax" minOccurs="0" maxOccurs="unbounded"/>'


def schema_name(proto: str) -> str:
    """Return the name of the schema of a .proto file, in the same folder."""
    return str(PurePosixPath(proto).with_suffix(".xsd"))


def generate_schema(file: FileDescriptorProto, others: Iterable[FileDescriptorProto]) -> str:
    """Return the schema of `file`; `others` are the files it imports, directly or not."""
    return _Schema(file, [file, *others]).text()


class _Schema:
    def __init__(self, file: FileDescriptorProto, files: Sequence[FileDescriptorProto]) -> None:
        self._file = file
        self._packages = {file.package: "t"}
        self._homes: dict[str, FileDescriptorProto] = {}
        self._messages: dict[str, DescriptorProto] = {}
        for one in files:
            prefix = f".{one.package}" if one.package else ""
            for name, kind in _all_types(prefix, one.message_type, one.enum_type):
                self._homes[name] = one
                if isinstance(kind, DescriptorProto):
                    self._messages[name] = kind
        self._used: dict[str, FileDescriptorProto] = {}
        self._comments = {
            tuple(location.path): location.leading_comments.strip()
            for location in file.source_code_info.location
            if location.leading_comments.strip()
        }

    def text(self) -> str:
        """Return the whole."""
        body = [
            line
            for index, message in enumerate(self._file.message_type)
            for line in self._message(message, message.name, (4, index))
        ]
        for index, enum in enumerate(self._file.enum_type):
            body += self._enum(enum, enum.name, (5, index))
        namespaces = [f' xmlns:{prefix}="proto:{package}"' for package, prefix in self._packages.items() if package]
        target = f' targetNamespace="proto:{self._file.package}"' if self._file.package else ""
        head = [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f"<!-- Generated by catenet from {escape(self._file.name)}. -->",
            f'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:x="{_EXTRAS}"{"".join(namespaces)}{target}>',
            f'  <xs:import namespace="{_EXTRAS}" schemaLocation={quoteattr(self._way_to(EXTRAS_SCHEMA_NAME))}/>',
        ]
        for name, other in sorted(self._used.items()):
            location = quoteattr(self._way_to(schema_name(name)))
            if other.package == self._file.package:
                head.append(f"  <xs:include schemaLocation={location}/>")
            else:
                namespace = f' namespace="proto:{other.package}"' if other.package else ""
                head.append(f"  <xs:import{namespace} schemaLocation={location}/>")
        return "\n".join([*head, *(f"  {line}" for line in body), "</xs:schema>", ""])

    def _way_to(self, name: str) -> str:
        up = "../" * self._file.name.count("/")
        return up + name

    def _message(self, message: DescriptorProto, name: str, path: tuple[int, ...]) -> Iterator[str]:
        known = _WELL_KNOWN.get(f".{self._file.package}.{name}")
        own = f"t:{name}" if self._file.package else name
        yield f'<xs:element name="{name}" type="{known or own}"/>'
        yield f'<xs:complexType name="{name}">'
        yield from self._comment(path)
        yield "  <xs:sequence>"
        order = sorted(range(len(message.field)), key=lambda index: message.field[index].number)
        for index in order:
            for line in self._field(message.field[index], (*path, 2, index)):
                yield f"    {line}"
        yield f"    {_ANY_EXTRAS}"
        yield "  </xs:sequence>"
        yield "</xs:complexType>"
        for index, inner in enumerate(message.nested_type):
            if not inner.options.map_entry:
                yield from self._message(inner, f"{name}.{inner.name}", (*path, 3, index))
        for index, enum in enumerate(message.enum_type):
            yield from self._enum(enum, f"{name}.{enum.name}", (*path, 4, index))

    def _comment(self, path: tuple[int, ...]) -> Iterator[str]:
        text = self._comments.get(path)
        if text:
            yield f"  <xs:annotation><xs:documentation>{escape(text)}</xs:documentation></xs:annotation>"

    def _field(self, field: FieldDescriptorProto, path: tuple[int, ...]) -> Iterator[str]:
        repeated = field.label == _F.LABEL_REPEATED
        occurs = 'minOccurs="0" maxOccurs="unbounded"' if repeated else 'minOccurs="0"'
        if field.label == _F.LABEL_REQUIRED:
            occurs = 'minOccurs="1"'
        kind = self._messages.get(field.type_name)
        head = f'<xs:element name="{field.name}"'
        if kind is not None and kind.options.map_entry:
            base, complex_ = self._type(kind.field[1])
            content = "complexContent" if complex_ else "simpleContent"
            yield f"{head} {occurs}>"
            yield from self._comment(path)
            yield f'  <xs:complexType><xs:{content}><xs:extension base="{base}"><xs:attributeGroup ref="x:key"/>'
            yield f"  </xs:extension></xs:{content}></xs:complexType>"
            yield "</xs:element>"
            return
        comment = list(self._comment(path))
        yield f'{head} type="{self._type(field)[0]}" {occurs}{">" if comment else "/>"}'
        if comment:
            yield from comment
            yield "</xs:element>"

    def _type(self, field: FieldDescriptorProto) -> tuple[str, bool]:
        """The type of a field's elements, and whether there are elements in it."""
        if field.type in _SCALARS:
            return _SCALARS[field.type], False
        if field.type_name in _WELL_KNOWN:
            known = _WELL_KNOWN[field.type_name]
            return known, known == "x:any"
        home = self._homes[field.type_name]
        if home.name != self._file.name:
            self._used[home.name] = home
        local = field.type_name[len(home.package) + 2 :] if home.package else field.type_name[1:]
        if not home.package:
            return local, field.type != _F.TYPE_ENUM
        prefix = self._packages.setdefault(home.package, f"t{len(self._packages)}")
        return f"{prefix}:{local}", field.type != _F.TYPE_ENUM

    def _enum(self, enum: EnumDescriptorProto, name: str, path: tuple[int, ...]) -> Iterator[str]:
        """The names of its values, or any number: what a newer program sends is a number."""
        yield f'<xs:simpleType name="{name}">'
        yield from self._comment(path)
        yield '  <xs:union memberTypes="xs:int"><xs:simpleType><xs:restriction base="xs:string">'
        for value in enum.value:
            yield f'    <xs:enumeration value="{value.name}"/>'
        yield "  </xs:restriction></xs:simpleType></xs:union>"
        yield "</xs:simpleType>"


def _all_types(
    prefix: str, messages: Iterable[DescriptorProto], enums: Iterable[EnumDescriptorProto]
) -> Iterator[tuple[str, DescriptorProto | EnumDescriptorProto]]:
    for enum in enums:
        yield f"{prefix}.{enum.name}", enum
    for message in messages:
        name = f"{prefix}.{message.name}"
        yield name, message
        yield from _all_types(name, message.nested_type, message.enum_type)
