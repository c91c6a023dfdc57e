"""What a result file says about its origin. Nothing personal: no names, no times, no place, no IDs.

The stored result has none of it. It is added when the result is fetched, from the provenance.
"""

import html
import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any, Final

_INPUTS: Final = ("content_sha256", "style_sha256", "init_image_sha256", "content_mask_sha256")
_END_OF_IHDR: Final = 33  # bytes: the signature and the first chunk, whose size is fixed

_PACKET: Final = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:easel="urn:easel:1.0/">
   <xmp:CreatorTool>{tool}</xmp:CreatorTool>
   <dc:source>{source}</dc:source>
   <easel:origin>{origin}</easel:origin>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""
"""XMP (ISO 16684-1). The ID is the same in every packet, as the standard has it."""


class Origin:
    """The program, the recipe and the inputs of a result. Equal requests have equal ones."""

    def __init__(self, provenance: bytes) -> None:
        """`provenance` is the stored document; fields that an older version did not write are left out."""
        document: dict[str, Any] = json.loads(provenance)
        version = document.get("environment", {}).get("easel")
        self._tool = f"Easel {version}" if version else "Easel"
        self._source = f"sha256:{document['content_sha256']}" if "content_sha256" in document else ""
        fields = {name: document[name] for name in ("recipe", "steps", *_INPUTS) if document.get(name)}
        fields |= {"weights_sha256": sha256} if (sha256 := document.get("weights", {}).get("sha256")) else {}
        self._text = json.dumps({**({"easel": version} if version else {}), **fields}, sort_keys=True)

    def xmp(self) -> bytes:
        """Return an XMP packet."""
        texts = {"tool": self._tool, "source": self._source, "origin": self._text}
        return _PACKET.format(**{name: html.escape(text, quote=False) for name, text in texts.items()}).encode()

    def add_to_png(self, png: bytes) -> bytes:
        """Return the PNG with text chunks `Software` and `easel` (JSON), and with the XMP packet."""
        return b"".join([png[:_END_OF_IHDR], *self._png_chunks(), png[_END_OF_IHDR:]])

    def _png_chunks(self) -> Iterator[bytes]:
        texts = {"Software": self._tool.encode(), "easel": self._text.encode(), "XML:com.adobe.xmp": self.xmp()}
        for keyword, text in texts.items():  # iTXt: uncompressed, no language, no translated keyword
            body = b"iTXt" + keyword.encode() + b"\0\0\0\0\0" + text
            yield struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
