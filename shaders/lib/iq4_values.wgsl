// The codebook of IQ4_NL and IQ4_XS: sixteen signed bytes, four a word, lowest code first.

fn iq4_values(codes: u32) -> vec4<f32> {
  let code = vec4<u32>(codes) >> vec4<u32>(0u, 8u, 16u, 24u);
  let second = (code & vec4<u32>(4u)) != vec4<u32>();
  // -127 -104 -83 -65 | -49 -35 -22 -10 and 1 13 25 38 | 53 69 89 113
  let negative = select(vec4<u32>(0xbfad9881u), vec4<u32>(0xf6eaddcfu), second);
  let positive = select(vec4<u32>(0x26190d01u), vec4<u32>(0x71594535u), second);
  let word = select(negative, positive, (code & vec4<u32>(8u)) != vec4<u32>());
  let shift = vec4<u32>(24u) - (code & vec4<u32>(3u)) * 8u;
  return vec4<f32>(bitcast<vec4<i32>>(word << shift) >> vec4<u32>(24u));
}
