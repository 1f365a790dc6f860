// Copyright: Contributors to Golden Goose
// GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build tools

// fsck is Tessera's own program; this only fixes the version that is built.
package main

import _ "github.com/transparency-dev/tessera/cmd/fsck"
