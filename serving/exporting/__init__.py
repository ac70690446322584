"""From a trained model to verified ONNX files: fp32, int8 and fp16; runs offline, with torch."""
