import { byPath } from './shader_paths';

/** The shaders that only some models, requests or devices need (all but the common ones of shader_sources.ts): a chunk of its own. */
export const RARE_SHADERS: ReadonlyMap<string, string> = byPath(
  import.meta.glob<string>(
    [
      '/shaders/bench/*.wgsl',
      '/shaders/lib/{dola,exact_scale,expert_epilogue,iq4_values,judge_guess,raw_bf16,raw_f16,raw_f32,token_list,token_sums,two_bytes}.wgsl',
      '/shaders/ops/{delta_net,dola_*,expert_*,gate_rows,group_experts,guide_logits,head_gate,layer_norm,linear_gemm_{codes,dot4,matrix},linear_gemv_dot4,mask_logits}.wgsl',
      '/shaders/ops/{pool,quantize_*,random_blocks,repack_{iq4_xs,mxfp4,q2_k,q3_k,q5},route,sample_chain,short_conv}.wgsl',
      '/shaders/quant/{bf16,iq4_*,mxfp4,q2_k,q3_k,q4_1,q5_0,q5_1}.wgsl',
    ],
    { query: '?raw', import: 'default', eager: true },
  ),
);
