import { architectureSuite } from './suite';

architectureSuite([
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
]);
