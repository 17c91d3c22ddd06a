"""The command `asr-api calibrate`: whether short audio contexts cost a model any words of the user's."""
