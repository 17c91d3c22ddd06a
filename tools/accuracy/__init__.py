"""Accuracy of the service beside faster-whisper's own `WhisperModel.transcribe`: same weights, same recordings."""
