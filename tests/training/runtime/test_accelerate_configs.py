"""The ready configuration for several GPUs is one that `accelerate` reads, and its header tells how to start it."""

from pathlib import Path

from accelerate.commands.config.config_args import load_config_from_file

FOLDER = Path(__file__).parents[3] / "configs" / "accelerate"


def test_accelerate_reads_it_and_leaves_the_precision_to_the_run():
    config = load_config_from_file(str(FOLDER / "multi_gpu.yaml"))
    assert (config.distributed_type, config.num_processes, config.mixed_precision) == ("MULTI_GPU", 2, "no")
    header = (FOLDER / "multi_gpu.yaml").read_text()
    assert "accelerate launch --config_file configs/accelerate/multi_gpu.yaml" in header
