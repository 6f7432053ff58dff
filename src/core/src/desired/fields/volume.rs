//! Decisions about volumes and where they are mounted.

use super::decision::decisions;

decisions!(MOUNT, mount, VolumeMount, "spec.containers[].volumeMounts[]", {
    bind_mount_options "bindMountOptions" Void "a guest cannot execute files, open devices or change its id"
    mount_path "mountPath" Honoured ""
    mount_propagation "mountPropagation" Void "nothing is mounted below a volume of this node, nor can a guest mount"
    name "name" Honoured ""
    read_only "readOnly" Honoured ""
    recursive_read_only "recursiveReadOnly" Void "a read-only mount is read-only throughout"
    sub_path "subPath" Refused "this version mounts whole volumes only"
    sub_path_expr "subPathExpr" Refused "this version mounts whole volumes only"
});

decisions!(VOLUME, volume, Volume, "spec.volumes[]", {
    aws_elastic_block_store "awsElasticBlockStore" NotMounted "replaced by CSI, which this version does not mount"
    azure_disk "azureDisk" NotMounted "replaced by CSI, which this version does not mount"
    azure_file "azureFile" NotMounted "replaced by CSI, which this version does not mount"
    cephfs "cephfs" NotMounted "replaced by CSI, which this version does not mount"
    cinder "cinder" NotMounted "replaced by CSI, which this version does not mount"
    config_map "configMap" Honoured ""
    csi "csi" NotMounted "not in this version"
    downward_api "downwardAPI" Honoured ""
    empty_dir "emptyDir" Honoured "see below"
    ephemeral "ephemeral" NotMounted "not in this version"
    fc "fc" NotMounted "replaced by CSI, which this version does not mount"
    flex_volume "flexVolume" NotMounted "replaced by CSI, which this version does not mount"
    flocker "flocker" NotMounted "gone from Kubernetes"
    gce_persistent_disk "gcePersistentDisk" NotMounted "replaced by CSI, which this version does not mount"
    git_repo "gitRepo" NotMounted "gone from Kubernetes"
    glusterfs "glusterfs" NotMounted "gone from Kubernetes"
    host_path "hostPath" NotMounted "not in this version"
    image "image" NotMounted "not in this version"
    iscsi "iscsi" NotMounted "replaced by CSI, which this version does not mount"
    name "name" Honoured ""
    nfs "nfs" NotMounted "not in this version"
    persistent_volume_claim "persistentVolumeClaim" NotMounted "not in this version"
    photon_persistent_disk "photonPersistentDisk" NotMounted "gone from Kubernetes"
    portworx_volume "portworxVolume" NotMounted "replaced by CSI, which this version does not mount"
    projected "projected" Honoured "see below"
    quobyte "quobyte" NotMounted "gone from Kubernetes"
    rbd "rbd" NotMounted "gone from Kubernetes"
    scale_io "scaleIO" NotMounted "gone from Kubernetes"
    secret "secret" Honoured "kept in memory"
    storageos "storageos" NotMounted "gone from Kubernetes"
    vsphere_volume "vsphereVolume" NotMounted "replaced by CSI, which this version does not mount"
});

decisions!(EMPTY_DIR, empty_dir, EmptyDirVolumeSource, "spec.volumes[].emptyDir", {
    medium "medium" Honoured "`Memory` or none; huge pages are not mounted"
    mode "mode" Void "a guest sees no permission bits"
    size_limit "sizeLimit" Reported "not enforced in this version"
});

decisions!(PROJECTION, projection, VolumeProjection, "spec.volumes[].projected.sources[]", {
    cluster_trust_bundle "clusterTrustBundle" NotMounted "not in this version"
    config_map "configMap" Honoured ""
    downward_api "downwardAPI" Honoured ""
    pod_certificate "podCertificate" NotMounted "not in this version"
    secret "secret" Honoured ""
    service_account_token "serviceAccountToken" Honoured "bound to the pod, refreshed"
});
