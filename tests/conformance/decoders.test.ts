import { architectureSuite } from './suite';

architectureSuite(
  [
    'mistral3',
    'qwen2',
    'qwen3',
    'gemma',
    'gemma2',
    'gemma3',
    'gemma4',
    'phi3',
    'granite',
    'olmo2',
    'smollm3',
    'gpt2',
    'starcoder2',
    'falcon',
    'phi2',
    'stablelm',
    'cohere2',
    'lfm2',
    'qwen35',
    'qwen35moe',
    'qwen3next',
  ],
  // Between them: norms before, after and of heads or projections, soft caps, windows, shared caches, scales, YaRN, learned
  // positions, biases, parallel branches, short convolutions, delta nets.
  ['gemma2', 'gemma4', 'granite', 'olmo2', 'gpt2', 'cohere2', 'lfm2', 'qwen35'],
);
