"""A request whose body is announced but never sent, which no ordinary HTTP client does."""

from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from asr_api.conformance.answer import Answer


def announced(url: str, length: int, headers: Mapping[str, str], timeout: float) -> Answer | None:
    """The answer to a form of `length` bytes of which none comes; None where there is none within `timeout` seconds."""
    address = urlsplit(url)
    kind = HTTPSConnection if address.scheme == "https" else HTTPConnection
    connection = kind(address.hostname or "", address.port, timeout=timeout)
    try:
        connection.putrequest("POST", address.path)
        for name, value in {"content-type": "multipart/form-data; boundary=edge", **headers}.items():
            connection.putheader(name, value)
        connection.putheader("content-length", str(length))
        connection.endheaders()
        response = connection.getresponse()
        said = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, said, response.read())
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()
