"""From an uploaded file to what Whisper reads: decoding, speech, chunks and log-mel features."""
