"use strict";
// The 360° view, with three.js. Yaw grows to the right and pitch upwards, in degrees; 0, 0 is the film's middle.
const radians = degrees => degrees * Math.PI / 180;
const turned = yaw => ((yaw + 180) % 360 + 360) % 360 - 180;

function vector(yaw, pitch) {
  const a = radians(yaw), b = radians(pitch);
  return new THREE.Vector3(Math.sin(a) * Math.cos(b), Math.sin(b), -Math.cos(a) * Math.cos(b));
}
function direction(v) {
  return {yaw: Math.atan2(v.x, -v.z) * 180 / Math.PI, pitch: Math.asin(Math.max(-1, Math.min(1, v.y / v.length()))) * 180 / Math.PI};
}

class SphereView {
  // `grid`: [rows, columns] of the maps; `colours`: 256 x RGB; `video`: the film, or null. Throws where there is no WebGL.
  constructor(host, grid, colours, video) {
    this.host = host;
    this.colours = colours;
    this.yaw = 0; this.pitch = 0; this.hfov = 90;
    this.renderer = new THREE.WebGLRenderer({antialias: true});
    host.append(this.renderer.domElement);
    this.scene = new THREE.Scene();
    this.camera = new THREE.PerspectiveCamera(60, 1, 0.05, 10);
    // Seen from within, its middle straight ahead.
    const sphere = new THREE.SphereGeometry(1, 96, 48).scale(-1, 1, 1).rotateY(-Math.PI / 2);
    if (video) {
      const film = new THREE.VideoTexture(video);
      film.colorSpace = THREE.SRGBColorSpace;
      this.scene.add(new THREE.Mesh(sphere, new THREE.MeshBasicMaterial({map: film})));
    }
    const canvas = document.createElement("canvas");
    [canvas.height, canvas.width] = grid;
    this.heatContext = canvas.getContext("2d");
    this.heatImage = this.heatContext.createImageData(canvas.width, canvas.height);
    this.heat = new THREE.CanvasTexture(canvas);
    this.heat.colorSpace = THREE.SRGBColorSpace;
    this.heat.generateMipmaps = false;
    this.add(new THREE.Mesh(sphere, this.over({map: this.heat}, THREE.MeshBasicMaterial)), 1);
    this.frame = new THREE.BufferGeometry();
    this.add(new THREE.LineLoop(this.frame, this.over({color: 0xffffff}, THREE.LineBasicMaterial)), 2);
    this.pins = new THREE.Group();
    this.add(this.pins, 3);
    this.pinLook = new THREE.CanvasTexture(ring());
  }
  over(look, Material) { return new Material({...look, transparent: true, depthTest: false}); }
  add(thing, order) { thing.renderOrder = order; this.scene.add(thing); }

  // `map`: bytes of the grid; `sure`: 0..1.
  paint(map, sure) {
    const pixels = this.heatImage.data;
    for (let i = 0; i < map.length; i++) {
      const heat = map[i] / 255, colour = 3 * Math.round(heat * 255 * (0.35 + 0.65 * sure));
      for (let c = 0; c < 3; c++) pixels[4 * i + c] = this.colours[colour + c];
      pixels[4 * i + 3] = 255 * Math.min(2 * heat, 1) * (0.4 + 0.35 * sure);
    }
    this.heatContext.putImageData(this.heatImage, 0, 0);
    this.heat.needsUpdate = true;
  }
  // The border of the camera's view. `size`: its width and height in pixels.
  outline([yaw, pitch, roll, hfov], size) {
    const edge = 24, points = [], across = Math.tan(radians(hfov) / 2), up = across * size[1] / size[0];
    const ahead = vector(yaw, pitch), right = vector(yaw + 90, 0), above = new THREE.Vector3().crossVectors(right, ahead);
    right.applyAxisAngle(ahead, radians(roll)); above.applyAxisAngle(ahead, radians(roll));
    for (const [x0, y0, x1, y1] of [[-1, 1, 1, 1], [1, 1, 1, -1], [1, -1, -1, -1], [-1, -1, -1, 1]]) for (let i = 0; i < edge; i++) {
      const x = x0 + (x1 - x0) * i / edge, y = y0 + (y1 - y0) * i / edge;
      points.push(ahead.clone().addScaledVector(right, x * across).addScaledVector(above, y * up).setLength(0.98));
    }
    this.frame.setFromPoints(points);
  }
  // `pins`: directions, each with `now`: whether it holds at this moment.
  showPins(pins) {
    while (this.pins.children.length > pins.length) this.pins.remove(this.pins.children[0]);
    while (this.pins.children.length < pins.length)
      this.pins.add(new THREE.Sprite(new THREE.SpriteMaterial({map: this.pinLook, depthTest: false})));
    pins.forEach((pin, i) => {
      const sprite = this.pins.children[i];
      sprite.position.copy(vector(pin.yaw, pin.pitch).multiplyScalar(0.97));
      sprite.scale.setScalar(this.hfov / 90 * 0.09);
      sprite.material.opacity = pin.now ? 1 : 0.35;
    });
  }
  look(yaw, pitch, hfov = this.hfov) {
    this.yaw = turned(yaw);
    this.pitch = Math.max(-89, Math.min(89, pitch));
    this.hfov = Math.max(30, Math.min(130, hfov));
  }
  // Where a pointer points.
  under(event) {
    const box = this.host.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * 2 - 1, y = 1 - (event.clientY - box.top) / box.height * 2;
    this.aim();
    return direction(new THREE.Vector3(x, y, 0.5).unproject(this.camera));
  }
  aim() {
    const {clientWidth: width, clientHeight: height} = this.host;
    this.camera.aspect = width / height;
    this.camera.fov = 2 * Math.atan(Math.tan(radians(this.hfov) / 2) / this.camera.aspect) * 180 / Math.PI;
    this.camera.updateProjectionMatrix();
    this.camera.lookAt(vector(this.yaw, this.pitch));
    this.camera.updateMatrixWorld();
  }
  draw() {
    const {clientWidth: width, clientHeight: height} = this.host;
    if (this.width !== width || this.height !== height) {
      [this.width, this.height] = [width, height];
      this.renderer.setPixelRatio(devicePixelRatio);
      this.renderer.setSize(width, height);
    }
    this.aim();
    this.renderer.render(this.scene, this.camera);
  }
}

function ring() {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 64;
  const pen = canvas.getContext("2d");
  for (const [colour, width] of [["#fff", 14], ["#2ee59d", 8]]) {
    pen.strokeStyle = colour; pen.lineWidth = width;
    pen.beginPath(); pen.arc(32, 32, 23, 0, 7); pen.stroke();
  }
  return canvas;
}
