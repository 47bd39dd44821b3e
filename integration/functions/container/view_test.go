//go:build integration && linux

package container

// A view is what a function sees of where it runs.
type view struct {
	UID      int               `json:"uid"`
	Dir      string            `json:"dir"`
	Args     []string          `json:"args"`
	Env      map[string]string `json:"env"`
	Status   map[string]string `json:"status"`
	Files    uint64            `json:"files"`
	Root     string            `json:"root"` // the error of writing there
	Tmp      string            `json:"tmp"`
	TmpBytes uint64            `json:"tmp_bytes"`
}
