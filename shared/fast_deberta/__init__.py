"""DeBERTa-v2 computed several times faster, exactly, under the same parameter names; imports nothing of ours."""
