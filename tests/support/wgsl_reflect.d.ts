// The package's main file is CommonJS under an ES module's name, which Node refuses; its types belong to both.
declare module 'wgsl_reflect/wgsl_reflect.module.js' {
  export * from 'wgsl_reflect';
}
