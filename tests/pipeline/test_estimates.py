"""What a training takes by arithmetic, against what torch keeps for the backward pass of small models of such kinds."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from harness.files import shipped
from harness.pipeline.estimates import operations, processes, training_bytes

DOSE = {"lora": 0, "recompute": False, "precision": "float32", "micro_batch": 2, "batch_size": 8, "max_tokens": 0}
TOKENS = 256


def kept(model, recompute):
    """Bytes that are kept for each token, layer and unit of width, without weights and their bfloat16 copies."""
    if recompute:
        model.gradient_checkpointing_enable()
    weights, seen = {p.untyped_storage().data_ptr() for p in model.parameters()}, {}

    def count(tensor):
        if tensor.untyped_storage().data_ptr() not in weights:
            seen[tensor.untyped_storage().data_ptr()] = tensor  # which keeps it, so that no other gets its place
        return tensor

    ids = torch.randint(0, model.config.vocab_size, (1, TOKENS))
    hooks = torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor)
    with hooks, torch.autocast("cpu", torch.bfloat16):
        model.model(input_ids=ids, use_cache=False)
    copies = 0 if recompute else sum(2 * p.numel() for p in model.model.layers.parameters() if p.ndim == 2)
    total = sum(tensor.untyped_storage().nbytes() for tensor in seen.values()) - copies
    return total / (TOKENS * model.config.num_hidden_layers * model.config.hidden_size)


def models(layers):
    """Of the proportions of Qwen2.5-0.5B and Llama-3.1-8B."""
    common = {"vocab_size": 64, "num_hidden_layers": layers}
    qwen = {"hidden_size": 448, "intermediate_size": 2432, "num_attention_heads": 7, "num_key_value_heads": 1}
    llama = {"hidden_size": 256, "intermediate_size": 896, "num_attention_heads": 8, "num_key_value_heads": 2}
    return Qwen2ForCausalLM(Qwen2Config(**common, **qwen)), LlamaForCausalLM(LlamaConfig(**common, **llama))


def estimated(parameters, layers_times_width, **dose):
    """Bytes of activations that are estimated for each token, layer and unit of width of a known model."""
    none, one = (
        training_bytes(DOSE | {"micro_batch": 1} | dose | {"max_tokens": n}, parameters, 1, []) for n in (0, 1)
    )
    return (one - none) / layers_times_width


# Parameters, and layers times width, of Qwen2.5 0.5B, 1.5B and 72B and of Llama 3 1B and 8B.
KNOWN = [(0.494e9, 24 * 896), (1.54e9, 28 * 1536), (72.7e9, 80 * 8192), (1.24e9, 16 * 2048), (8.03e9, 32 * 4096)]


@pytest.mark.parametrize(("parameters", "layers_times_width"), KNOWN)
def test_activations_are_those_that_torch_keeps(parameters, layers_times_width):
    whole = [kept(model, False) for model in models(2)]
    assert estimated(parameters, layers_times_width) == pytest.approx(sum(whole) / 2, rel=0.35)
    # Of 28 layers: each one's input, and all of the one that is computed again.
    again = [kept(model, True) + each / 28 for model, each in zip(models(28), whole, strict=True)]
    assert estimated(parameters, layers_times_width, recompute=True) == pytest.approx(sum(again) / 2, rel=0.35)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("", (1, False)),
        ("accelerate launch --num_processes 4", (4, False)),
        ("accelerate launch --num_processes 4 --use_fsdp", (4, True)),
        (f"accelerate launch --config_file {shipped('recipes')}/accelerate/fsdp2.yaml", (8, True)),
        (f"accelerate launch --config_file {shipped('recipes')}/accelerate/fsdp2.yaml --num_processes 2", (2, True)),
    ],
)
def test_a_launch_tells_over_how_many_gpus_a_model_is_shared_out(words, found):
    assert processes(words.split()) == found


def test_adapters_and_recomputation_change_what_is_computed():
    assert training_bytes(DOSE, 1000, 1, []) == 16_000
    assert training_bytes(DOSE | {"lora": 8}, 1000, 1, []) == 4500  # frozen weights are float32, too
    assert [operations(DOSE | more) for more in ({}, {"recompute": True}, {"lora": 8})] == [6, 8, 4]
