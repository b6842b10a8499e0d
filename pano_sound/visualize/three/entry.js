// What the report's 360° viewer takes of three.js.
export {
  CanvasTexture, Group, LineBasicMaterial, LineLoop, BufferGeometry, Float32BufferAttribute, Mesh, MeshBasicMaterial,
  PerspectiveCamera, Scene, SphereGeometry, Sprite, SpriteMaterial, SRGBColorSpace, Vector3, VideoTexture, WebGLRenderer,
} from "three";
