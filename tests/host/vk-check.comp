#version 450
/* SPDX-License-Identifier: GPL-2.0-or-later */
layout(local_size_x = 64) in;
layout(std430, binding = 0) buffer Data { uint v[]; } data;

void main()
{
    uint i = gl_GlobalInvocationID.x;

    if (i < data.v.length()) {
        data.v[i] = data.v[i] * 3u + i;
    }
}
