package stage0

const sysSetns = 268
