// Products of vectors of weights with rows of x in f32. The entry file says what an XPlace is, one vector's place in x, and defines
//   x_rows(place, quad, row)   that quad of the vector, of the four rows of x from `row` (0 or 4) on
//   norm_quad(place, quad)     what multiplies it with NORM_ON_READ

// #import "lib/linear_lanes.wgsl"

// x is yet to be multiplied by the norm's weight.
const NORM_ON_READ: bool = false;

// Unscaled sums over one vector of weights, and the sums of x that an offset multiplies.
struct Products { slots: SlotSums, x: Sums }

// Four rows of x (the columns of `v`) times four weights.
fn rows_add(w: vec4<f32>, v: mat4x4<f32>, sums: vec4<f32>) -> vec4<f32> {
  var result = sums;
  result.x = dot_add(w, v[0], sums.x);
  if (TILE_ROWS > 1u) { result.y = dot_add(w, v[1], sums.y); }
  if (TILE_ROWS > 2u) {
    result.z = dot_add(w, v[2], sums.z);
    result.w = dot_add(w, v[3], sums.w);
  }
  return result;
}

fn rows_scaled(v: mat4x4<f32>, by: vec4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(v[0] * by, v[1] * by, v[2] * by, v[3] * by);
}

fn quad_add(sums: Products, packed: Packed, quad: u32, place: XPlace) -> Products {
  var p = sums;
  let w0 = quant_quad(packed.v0, quad);
  var w1: vec4<f32>;
  var w2: vec4<f32>;
  var w3: vec4<f32>;
  if (OUTS > 1u) { w1 = quant_quad(packed.v1, quad); }
  if (OUTS > 2u) {
    w2 = quant_quad(packed.v2, quad);
    w3 = quant_quad(packed.v3, quad);
  }
  var low = x_rows(place, quad, 0u);
  if (NORM_ON_READ) { low = rows_scaled(low, norm_quad(place, quad)); }
  p.slots.v0.low = rows_add(w0, low, p.slots.v0.low);
  if (OUTS > 1u) { p.slots.v1.low = rows_add(w1, low, p.slots.v1.low); }
  if (OUTS > 2u) {
    p.slots.v2.low = rows_add(w2, low, p.slots.v2.low);
    p.slots.v3.low = rows_add(w3, low, p.slots.v3.low);
  }
  if (QUANT_OFFSET) { p.x.low = rows_add(vec4<f32>(1.0), low, p.x.low); }
  if (TILE_ROWS > 4u) {
    var high = x_rows(place, quad, 4u);
    if (NORM_ON_READ) { high = rows_scaled(high, norm_quad(place, quad)); }
    p.slots.v0.high = rows_add(w0, high, p.slots.v0.high);
    if (OUTS > 1u) { p.slots.v1.high = rows_add(w1, high, p.slots.v1.high); }
    if (OUTS > 2u) {
      p.slots.v2.high = rows_add(w2, high, p.slots.v2.high);
      p.slots.v3.high = rows_add(w3, high, p.slots.v3.high);
    }
    if (QUANT_OFFSET) { p.x.high = rows_add(vec4<f32>(1.0), high, p.x.high); }
  }
  return p;
}

fn scale_add(scale: vec2<f32>, products: Sums, x_sums: Sums, sums: Sums) -> Sums {
  var result = sums;
  result.low = fma(vec4<f32>(scale.x), products.low, sums.low);
  if (QUANT_OFFSET) { result.low = fma(vec4<f32>(scale.y), x_sums.low, result.low); }
  if (TILE_ROWS > 4u) {
    result.high = fma(vec4<f32>(scale.x), products.high, sums.high);
    if (QUANT_OFFSET) { result.high = fma(vec4<f32>(scale.y), x_sums.high, result.high); }
  }
  return result;
}

// The product of one vector of weights of each slot with its rows of x.
fn vec_add(sums: SlotSums, packed: Packed, scale: Scales, place: XPlace, one: u32) -> SlotSums {
  var p = Products();
  if (UNROLLED) {
    p = quad_add(p, packed, 0u, place);
    if (QUANT_QUADS > 1u) { p = quad_add(p, packed, 1u, place); }
    if (QUANT_QUADS > 2u) {
      p = quad_add(p, packed, 2u, place);
      p = quad_add(p, packed, 3u, place);
    }
    if (QUANT_QUADS > 4u) {
      p = quad_add(p, packed, 4u, place);
      p = quad_add(p, packed, 5u, place);
      p = quad_add(p, packed, 6u, place);
      p = quad_add(p, packed, 7u, place);
    }
  } else {
    for (var quad = 0u; quad < QUANT_QUADS * one; quad++) { p = quad_add(p, packed, quad, place); }
  }
  var result = sums;
  result.v0 = scale_add(scale.v0, p.slots.v0, p.x, sums.v0);
  if (OUTS > 1u) { result.v1 = scale_add(scale.v1, p.slots.v1, p.x, sums.v1); }
  if (OUTS > 2u) {
    result.v2 = scale_add(scale.v2, p.slots.v2, p.x, sums.v2);
    result.v3 = scale_add(scale.v3, p.slots.v3, p.x, sums.v3);
  }
  return result;
}
