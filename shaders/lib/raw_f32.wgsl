// A value of a float row as it lies in the file: `raw_value(i)` is value i of `raw: array<u32>`, which the entry file declares.

fn raw_value(index: u32) -> f32 { return bitcast<f32>(raw[index]); }
