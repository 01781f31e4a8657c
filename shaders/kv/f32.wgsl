// KV element type f32. Like every file of shaders/kv: how four neighbouring values of a head lie in the cache.

alias KvQuad = vec4<f32>;

fn kv_pack(values: vec4<f32>) -> KvQuad { return values; }

fn kv_unpack(quad: KvQuad) -> vec4<f32> { return quad; }
