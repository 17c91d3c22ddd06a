"""Speech to text over HTTP: Whisper on CTranslate2, batched across requests."""

__version__ = "0.1.0"
