// A Lambda function as it is for Amazon: it makes a thumbnail of each picture that
// an S3 event names, and puts it into the bucket "thumbs". It needs no packages: a
// PNG of 8 bits without interlacing is a few chunks around zlib.
import { deflateSync, inflateSync } from 'node:zlib';

const size = 64;

export const handler = async (event) => {
  const made = [];
  for (const { s3 } of event.Records) {
    const key = decodeURIComponent(s3.object.key.replaceAll('+', ' '));
    const picture = decode(await ask('GET', s3.bucket.name, key));
    await ask('PUT', 'thumbs', `node/${key}`, encode(shrink(picture)));
    console.log('a thumbnail of', key);
    made.push(`node/${key}`);
  }
  return made;
};

async function ask(method, bucket, key, body) {
  const url = `${process.env.BUCKETS}/${bucket}/${key.split('/').map(encodeURIComponent).join('/')}`;
  const answer = await fetch(url, { method, body });
  if (!answer.ok) throw new Error(`${method} ${url}: ${answer.status} ${answer.statusText}`);
  return Buffer.from(await answer.arrayBuffer());
}

// shrink takes the nearest pixel for each of the thumbnail.
function shrink({ width, height, depth, pixels }) {
  const small = Buffer.alloc(size * size * depth);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const from = (Math.floor(y * height / size) * width + Math.floor(x * width / size)) * depth;
      pixels.copy(small, (y * size + x) * depth, from, from + depth);
    }
  }
  return { width: size, height: size, depth, pixels: small };
}

const signature = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');
const depths = { 0: 1, 2: 3, 6: 4 }; // bytes of a pixel, by the colour type

function decode(png) {
  if (!png.subarray(0, 8).equals(signature)) throw new TypeError('this is no PNG');
  let header, data = [];
  for (let at = 8; at < png.length;) {
    const length = png.readUInt32BE(at), body = png.subarray(at + 8, at + 8 + length);
    const kind = png.toString('latin1', at + 4, at + 8);
    if (kind === 'IHDR') header = body;
    if (kind === 'IDAT') data.push(body);
    at += length + 12;
  }
  const width = header.readUInt32BE(0), height = header.readUInt32BE(4), depth = depths[header[9]];
  if (header[8] !== 8 || !depth || header[12]) throw new TypeError('only PNG of 8 bits, without palette and interlacing');
  return { width, height, depth, pixels: unfilter(inflateSync(Buffer.concat(data)), width * depth, height, depth) };
}

// unfilter undoes the filters of PNG (third edition, section 9).
function unfilter(data, stride, height, depth) {
  const out = Buffer.alloc(stride * height);
  for (let y = 0; y < height; y++) {
    const filter = data[y * (stride + 1)];
    for (let x = 0; x < stride; x++) {
      const left = x < depth ? 0 : out[y * stride + x - depth];
      const up = y ? out[(y - 1) * stride + x] : 0;
      const corner = y && x >= depth ? out[(y - 1) * stride + x - depth] : 0;
      const guess = [0, left, up, (left + up) >> 1, paeth(left, up, corner)][filter];
      out[y * stride + x] = data[y * (stride + 1) + 1 + x] + guess;
    }
  }
  return out;
}

function paeth(left, up, corner) {
  const [a, b, c] = [left, up, corner].map((v) => Math.abs(left + up - corner - v));
  return a <= b && a <= c ? left : b <= c ? up : corner;
}

function encode({ width, height, depth, pixels }) {
  const header = Buffer.alloc(13), rows = [];
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = 8;
  header[9] = { 1: 0, 3: 2, 4: 6 }[depth];
  for (let y = 0; y < height; y++) rows.push(Buffer.of(0), pixels.subarray(y * width * depth, (y + 1) * width * depth));
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', deflateSync(Buffer.concat(rows))), chunk('IEND', Buffer.alloc(0))]);
}

function chunk(kind, body) {
  const all = Buffer.alloc(body.length + 12);
  all.writeUInt32BE(body.length, 0);
  all.write(kind, 4, 'latin1');
  body.copy(all, 8);
  all.writeUInt32BE(crc(all.subarray(4, body.length + 8)), body.length + 8);
  return all;
}

function crc(data) {
  let sum = 0xffffffff;
  for (const byte of data) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >>> 1) ^ 0xedb88320 : sum >>> 1;
  }
  return ~sum >>> 0;
}
