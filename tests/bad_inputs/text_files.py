"""Texts that libavformat, or a browser, would take for something to play: posted as audio, whatever they are called."""

from collections.abc import Iterator

from tests.audio.sounds import wav

from .files import SECOND, nested
from .row import NOTHING_SAID, UNKNOWN, Row, upload

TEXTS = {
    "SDP": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 15004 RTP/AVP 0\n",
    "SDP to everybody": "v=0\no=- 0 0 IN IP4 224.0.0.1\ns=x\nc=IN IP4 224.0.0.1/127\nt=0 0\nm=audio 15006 RTP/AVP 0\n",
    "ffconcat": "ffconcat version 1.0\nfile canary.wav\n",
    "ffconcat of a passwd file": "ffconcat version 1.0\nfile '/etc/passwd'\n",
    "ffconcat of an address": "ffconcat version 1.0\nfile http://127.0.0.1:9/x.wav\n",
    "ffconcat of itself": "ffconcat version 1.0\nfile speech.wav\n" * 100,
    "HLS": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n",
    "HLS of a file": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
    "HLS with a key": '#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="http://127.0.0.1:9/k"\n#EXTINF:9,\nx.ts\n#EXT-X-ENDLIST\n',
    "HLS of playlists": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhttp://127.0.0.1:9/x.m3u8\n",
    "HLS through concat": "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:9,\nconcat:http://127.0.0.1:9/|file:///etc/passwd\n",
    "HLS through subfile": "#EXTM3U\n#EXTINF:9,\nsubfile,,start,0,end,64,,:/etc/passwd\n#EXT-X-ENDLIST\n",
    "HLS through crypto": "#EXTM3U\n#EXTINF:9,\ncrypto:file:///etc/passwd\n#EXT-X-ENDLIST\n",
    "HLS of data": "#EXTM3U\n#EXTINF:9,\ndata:audio/wav;base64,UklGRg==\n#EXT-X-ENDLIST\n",
    "HLS of the cloud's metadata": "#EXTM3U\n#EXTINF:9,\nhttp://169.254.169.254/latest/meta-data/\n#EXT-X-ENDLIST\n",
    "M3U": "canary.wav\nhttp://127.0.0.1:9/x.wav\n",
    "DASH": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:'
    'isoff-main:2011"><Period><AdaptationSet><Representation><BaseURL>http://127.0.0.1:9/</BaseURL>'
    "</Representation></AdaptationSet></Period></MPD>",
    "PLS": "[playlist]\nNumberOfEntries=1\nFile1=http://127.0.0.1:9/x.wav\n",
    "ASX": '<asx version="3.0"><entry><ref href="http://127.0.0.1:9/x.wav"/></entry></asx>',
    "XSPF": '<?xml version="1.0"?><playlist version="1" xmlns="http://xspf.org/ns/0/"><trackList><track>'
    "<location>file:///etc/passwd</location></track></trackList></playlist>",
    "IMF": '<?xml version="1.0"?><CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016">'
    "<Id>urn:uuid:0</Id></CompositionPlaylist>",
    "Smooth Streaming": '<?xml version="1.0"?><SmoothStreamingMedia MajorVersion="2" MinorVersion="0" Duration="1"/>',
    "RTSP reference": "[Reference]\nRef1=http://127.0.0.1:9/x?MSWMExt=.asf\n",
    "QuickTime link": '<?xml version="1.0"?><?quicktime type="application/x-quicktime-media-link"?><embed src="x"/>',
    "ffmetadata": ";FFMETADATA1\ntitle=x\n[CHAPTER]\nSTART=0\nEND=1\n",
    "lavfi graph": "sine=frequency=440:duration=1",
    "image sequence": "frame-%03d.png",
    "JSON": '{"file": "http://127.0.0.1:9/x.wav"}',
    "JSON, 50,000 deep": nested(b"[", b"]", 50_000).decode(),
    "HTML": "<!doctype html><html><body><audio src=x.wav></audio></body></html>",
    "HTML error page": "<html><head><title>404 Not Found</title></head></html>",
    "XML": '<?xml version="1.0"?><speech/>',
    "XML with an outer entity": '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>',
    "XML that laughs": '<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><l>&b;</l>',
    "CSV": "start,end,text\n0,1,hello\n",
    "SRT": "1\n00:00:00,000 --> 00:00:01,000\nhello\n",
    "WebVTT": "WEBVTT\n\n00:00.000 --> 00:01.000\nhello\n",
    "ASS": "[Script Info]\nScriptType: v4.00+\n\n[Events]\nDialogue: 0,0:00:00.00,0:00:01.00,,,0,0,0,,hello\n",
    "SAMI": "<SAMI><BODY><SYNC Start=0><P>hello</BODY></SAMI>",
    "MicroDVD": "{0}{25}hello\n{25}{50}there\n",
    "LRC": "[00:00.00]hello\n[00:01.00]there\n",
    "SVG": '<svg xmlns="http://www.w3.org/2000/svg"><image href="http://127.0.0.1:9/x.png"/></svg>',
    "YAML": "!!python/object/apply:os.system ['id']\n",
    "shell script": "#!/bin/sh\nid\n",
    "base64 of a WAV": "UklGRiQAAABXQVZFZm10IBAAAAABAAEAgD4AAAB9AAACABAAZGF0YQAAAAA=",
    "data address of a WAV": "data:audio/wav;base64,UklGRiQAAABXQVZFZm10IBAAAAABAAEAgD4AAAB9AAACABAAZGF0YQAAAAA=",
    "address alone": "http://127.0.0.1:9/x.wav",
    "path alone": "/etc/passwd",
    "UTF-16": "\ufeffhello there",
    "a space": " ",
    "a line": "\n",
    "a megabyte of one letter": "a" * 1_000_000,
}
"""The addresses are of this machine, and of a port where nobody listens."""

NAMES = (
    "x.m3u8", "x.sdp", "x.mpd", "x.ffconcat", "http://127.0.0.1:9/x.wav", "file:///etc/passwd", "/etc/passwd",
    "../../../../etc/passwd", "concat:a.wav|b.wav", "subfile,,start,0,end,9,,:/etc/passwd", "data:audio/wav;base64,",
    "pipe:0", "tcp://127.0.0.1:9", "lavfi:sine", "-f.wav", "$(id)", "`id`", "%00", "x%n%s.wav", "x.wav\u202egpj.exe",
    "n" * 4_000,
)  # fmt: skip


def texts() -> Iterator[Row]:
    for name, text in TEXTS.items():
        content = text.encode("utf-16" if name == "UTF-16" else "utf-8")
        yield upload(f"text: {name}", content, UNKNOWN)


def named() -> Iterator[Row]:
    """No name makes audio of a playlist, nor a playlist of audio."""
    for name in NAMES:
        yield upload(f"name: HLS as {name[:40]}", TEXTS["HLS"].encode, UNKNOWN, filename=name)
        yield upload(f"name: a WAV as {name[:40]}", lambda: wav(SECOND), NOTHING_SAID, filename=name)


def typed() -> Iterator[Row]:
    for kind in (
        "application/vnd.apple.mpegurl",
        "application/sdp",
        "image/png",
        "text/html",
        "",
        "audio/wav; x",
        "\u00fc",
    ):
        yield upload(f"type: SDP as {kind!r}", TEXTS["SDP"].encode, UNKNOWN, kind=kind)
        yield upload(f"type: a WAV as {kind!r}", lambda: wav(SECOND), NOTHING_SAID, kind=kind)


ROWS = [*texts(), *named(), *typed()]
