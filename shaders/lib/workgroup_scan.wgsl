// Inclusive prefix sums over the 256 lanes of a workgroup (Hillis & Steele 1986), in a fixed order.

const SCAN_LANES = 256u;

var<workgroup> scan_integers: array<vec3<u32>, SCAN_LANES>;
var<workgroup> scan_floats: array<f32, SCAN_LANES>;

fn workgroup_scan_u32(lane: u32, own: vec3<u32>) -> vec3<u32> {
  var sum = own;
  scan_integers[lane] = sum;
  workgroupBarrier();
  for (var distance = 1u; distance < SCAN_LANES; distance <<= 1u) {
    var left = vec3<u32>(0u);
    if (lane >= distance) { left = scan_integers[lane - distance]; }
    workgroupBarrier();
    sum += left;
    scan_integers[lane] = sum;
    workgroupBarrier();
  }
  return sum;
}

fn workgroup_scan_f32(lane: u32, own: f32) -> f32 {
  var sum = own;
  scan_floats[lane] = sum;
  workgroupBarrier();
  for (var distance = 1u; distance < SCAN_LANES; distance <<= 1u) {
    var left = 0.0;
    if (lane >= distance) { left = scan_floats[lane - distance]; }
    workgroupBarrier();
    sum += left;
    scan_floats[lane] = sum;
    workgroupBarrier();
  }
  return sum;
}

// The uniform total of the last workgroup_scan_f32.
fn workgroup_scan_total() -> f32 { return workgroupUniformLoad(&scan_floats[SCAN_LANES - 1u]); }
