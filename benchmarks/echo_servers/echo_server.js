// An echo chain behind Node's own server or a framework: node echo_server.js http|express|fastify PORT
"use strict";
const [framework, port] = [process.argv[2], Number(process.argv[3])];

function answer(method, path, authorization, body) {
  if (path !== "/production/run_remote") return [404, '{"error":"not found"}'];
  if (method !== "POST") return [405, '{"error":"method not allowed"}'];
  if (authorization !== `Api-Key ${process.env.BASETEN_API_KEY}`) return [401, '{"error":"unauthorized"}'];
  let value;
  try { value = JSON.parse(body.toString()); } catch { value = null; }
  const isObject = value !== null && typeof value === "object" && !Array.isArray(value);
  return isObject ? [200, body] : [400, '{"error":"expected an object"}'];
}

function pathOf(url) {
  return new URL(url, "http://localhost").pathname;
}

if (framework === "express") {
  const express = require("express");
  const app = express();
  app.use(express.raw({ type: () => true }));
  app.use((request, response) => {
    const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
    const [status, content] = answer(request.method, pathOf(request.url), request.headers.authorization, body);
    response.status(status).type("application/json").send(content);
  });
  app.listen(port, "127.0.0.1");
} else if (framework === "fastify") {
  const app = require("fastify")();
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "buffer" }, (request, body, done) => done(null, body));
  app.all("/*", (request, reply) => {
    const body = request.body || Buffer.alloc(0);
    const [status, content] = answer(request.method, pathOf(request.url), request.headers.authorization, body);
    reply.code(status).type("application/json").send(content);
  });
  app.listen({ port, host: "127.0.0.1" });
} else {
  require("http").createServer((request, response) => {
    const pieces = [];
    request.on("data", (piece) => pieces.push(piece));
    request.on("end", () => {
      const [status, content] = answer(
        request.method, pathOf(request.url), request.headers.authorization, Buffer.concat(pieces));
      response.writeHead(status, { "Content-Type": "application/json" });
      response.end(content);
    });
  }).listen(port, "127.0.0.1");
}
