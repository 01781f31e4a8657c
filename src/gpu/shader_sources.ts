import { byPath } from './shader_paths';

/** The shaders that nearly every model runs, and what they import. The others: rare_shaders.ts, with the same patterns. */
const COMMON: ReadonlyMap<string, string> = byPath(
  import.meta.glob<string>(
    [
      '/shaders/**/*.wgsl',
      '!/shaders/bench/*.wgsl',
      '!/shaders/lib/{dola,exact_scale,expert_epilogue,iq4_values,judge_guess,raw_bf16,raw_f16,raw_f32,token_list,token_sums,two_bytes}.wgsl',
      '!/shaders/ops/{delta_net,dola_*,expert_*,gate_rows,group_experts,guide_logits,head_gate,layer_norm,linear_gemm_{codes,dot4,matrix},linear_gemv_dot4,mask_logits}.wgsl',
      '!/shaders/ops/{pool,quantize_*,random_blocks,repack_{iq4_xs,mxfp4,q2_k,q3_k,q5},route,sample_chain,short_conv}.wgsl',
      '!/shaders/quant/{bf16,iq4_*,mxfp4,q2_k,q3_k,q4_1,q5_0,q5_1}.wgsl',
    ],
    { query: '?raw', import: 'default', eager: true },
  ),
);

/** Shader files by their path below shaders/, enough to link these ones with what they import: the common ones, or all. */
export async function shaderSources(paths: Iterable<string>): Promise<ReadonlyMap<string, string>> {
  for (const path of paths) if (!COMMON.has(path)) return await allShaderSources();
  return COMMON;
}

/** Every file of shaders/. */
export async function allShaderSources(): Promise<ReadonlyMap<string, string>> {
  const { RARE_SHADERS } = await import('./rare_shaders');
  return new Map([...COMMON, ...RARE_SHADERS]);
}
