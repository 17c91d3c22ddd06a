"""The edge of the process: its ports, its connections, its signals and its end."""

from asr_api.server.announcement import curl_line
from asr_api.server.listening import PortUnavailable, listen, url_of
from asr_api.server.server import ENGINE_EXIT_CODE, Server

__all__ = ["ENGINE_EXIT_CODE", "PortUnavailable", "Server", "curl_line", "listen", "url_of"]
