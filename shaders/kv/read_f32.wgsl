// KV element type f32. Every file read_*.wgsl gives four neighbouring values of a head, number `at` of them in
// [page][KV head][PAGE_SIZE][HEAD_DIM / 4], from `k` and `v`, which the entry file declares as arrays of KvWord.

alias KvWord = vec4<f32>;

fn read_k(at: u32) -> vec4<f32> { return k[at]; }

fn read_v(at: u32) -> vec4<f32> { return v[at]; }
