"""Models: from a name to a verified folder in faster-whisper's CTranslate2 form."""
