import { architectureSuite } from './suite';

architectureSuite(['mixtral', 'qwen2moe', 'qwen3moe', 'olmoe', 'granitemoe', 'gpt-oss'], ['qwen2moe', 'gpt-oss']);
